"""The results of a study: scores, computed where missing; added selectors; and the pixels per test image."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from meddel import artefacts, select
from meddel.config import Head, Run
from meddel.errors import MedDELError
from meddel.images import index, splits
from meddel.study import ledger
from meddel.study.data import study_index
from meddel.study.grid import Cell, jobs, scores_path, selected_cells, whole_pool
from meddel.study.pipeline import compute

COLUMNS = ["set", "head", "selector", "ratio", "seed", "id", "group", "intersection", "union"]
_FIX = "run the study first (meddel run)"


def run_study(
    run: Run, grid: Sequence[Cell] | None = None, only: Sequence[Head] | None = None, transfer: bool = False
) -> pa.Table:
    """Compute what is missing of a grid (default: Table 3's) and return its scores (`meddel.segment.SCORES_SCHEMA`).

    With Table 3's grid, scores of added selectors (`add_selector`) are returned too, and all are written to
    ``scores.parquet`` in the run's folder. `only` leaves out other heads. With `transfer` the scores are those on the
    test splits of the other sets (section 4.6), and ``set`` is ``"trained>tested"``.
    """
    wanted = jobs(run, grid, only)
    require_contracts(cell for cell, _, _ in wanted)
    compute(run, ledger.missing(run, wanted))
    parts = []
    for job in wanted:
        table = pq.read_table(scores_path(run, *job))
        own = pc.equal(table["set"], job[1])
        parts.append(table.filter(pc.invert(own) if transfer else own))
    if grid is None and only is None and not transfer:
        parts += _added(run)
        artefacts.write_table(run.out / "scores.parquet", pa.concat_tables(parts))
    return pa.concat_tables(parts)


def require_contracts(cells: Sequence[Cell]) -> None:
    """Check each selector that is not this library's, by `meddel.select.contract`."""
    for name in dict.fromkeys(cell.selector for cell in cells if cell.selects):
        if select.source_of(name):
            select.contract.require(select.get(name), invariant=select.is_invariant(name))


def add_selector(run: Run, name: str) -> pa.Table:
    """Run one's own selector at every ratio and seed, add its scores to every table of the run, and return them.

    From then on `run_study` returns them too, also in processes that don't know the function. Call it again after the
    selector was changed. One that breaks a rule of its contract is refused.
    """
    if name in run.profile.selectors:
        raise MedDELError(f"the selector {name!r} is in the study already", fix="add another one")
    table = run_study(run, [cell for seed in run.seeds for cell in selected_cells(run, (name,), seed)])
    path, source = run.out / "added" / f"{name}.parquet", select.source_of(name)
    with artefacts.recorded(path, _key(run), parameters={"selector": name, "source": source}):
        artefacts.write_table(path, table)
    everything = run.out / "scores.parquet"
    if everything.is_file():
        others = pq.read_table(everything).filter(pc.field("selector") != name)
        artefacts.write_table(everything, pa.concat_tables([others, table]))
    return table


def _added(run: Run) -> list[pa.Table]:
    """Return the scores of the selectors that were added to this very study."""
    paths = sorted((run.out / "added").glob("*.parquet"))
    key = _key(run) if paths else ""
    return [pq.read_table(path) for path in paths if artefacts.is_finished(path, key)]


def _key(run: Run) -> str:
    """Return the identity of a study: the recipes of its references, and its ratios."""
    none = [Cell(selector="none", ratio=0.0, seed=seed) for seed in run.seeds]
    references = [*none, *map(whole_pool, run.seeds)]
    return artefacts.hash_of("added", list(ledger.recipes(run, jobs(run, references)).values()), run.profile.ratios)


def image_counts(run: Run, grid: Sequence[Cell], *, transfer: bool = False, split: str = "test") -> pd.DataFrame:
    """Gather the foreground pixels of every evaluated image at the last epoch, of the cells of a computed grid.

    Columns are `COLUMNS`, a row per set, head, cell and image: `intersection` and `union` of prediction and truth in
    pixels. Images of one `group` are not independent: they are of one video (sequence, patient) or of equal content.
    With `transfer` they are the images of the sets that were not trained on, and `set` is ``"trained>tested"``.
    """
    parts = [pd.DataFrame(columns=COLUMNS)]
    for cell, name, head in jobs(run, grid):
        scores = scores_path(run, cell, name, head)
        path = scores.with_name("images.parquet")
        if artefacts.read_provenance(scores) is None:  # it is written after both tables
            raise MedDELError("no counts of test images yet", path, _FIX)
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            fix = "remove the folder and run again"
            raise MedDELError("the counts of test images can't be read", path, fix) from error
        own = pc.equal(table["set"], name)
        rows = table.filter(pc.and_(pc.invert(own) if transfer else own, pc.equal(table["split"], split)))
        part = rows.select(["set", "id", "intersection", "union"]).to_pandas()
        parts.append(part.assign(head=head, selector=cell.selector, ratio=cell.ratio, seed=cell.seed))
    counts = pd.concat(parts[1:] or parts, ignore_index=True)
    counts["group"] = counts.id.map(_groups(study_index(run)))
    if counts.group.isna().any():
        raise MedDELError("an image of the study is not in the index", counts.id[counts.group.isna()].iloc[0], _FIX)
    return counts[COLUMNS]


def _groups(table: pa.Table) -> dict[str, str]:
    """Return the name of the group of every downstream image, by id."""
    named = {}
    for name in index.roles(table)[1]:
        rows = table.filter(pc.equal(table["source"], name))
        numbers = splits.group(rows).tolist()
        named |= {id_: f"{name}/{number}" for id_, number in zip(rows["id"].to_pylist(), numbers, strict=True)}
    return named
