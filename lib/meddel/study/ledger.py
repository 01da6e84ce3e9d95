"""Which scores are finished, known before anything is computed; and finished scores that travel between machines.

Each artefact has a key made from the bytes that it was made of. A *recipe* is made from the settings and from the data
at the beginning, so that a score is recognised without the encoder that it belongs to: on another machine, or after a
folder was tidied. The library's version is no part of it, but is kept beside the score.

A ledger is a folder with three files for each seed: ``seed-0.scores.parquet`` (all rows of finished scores) and
``seed-0.images.parquet`` (pixel counts per test image), each row with its recipe; and ``seed-0.json``, from the recipe
to the provenance (version, commit, machine, seconds) of the scores and of the encoder's pre-training.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from meddel import artefacts, select
from meddel.config import Head, Run
from meddel.errors import MedDELError
from meddel.segment import IMAGES_SCHEMA, SCORES_SCHEMA
from meddel.study.data import Split, split, study_index
from meddel.study.grid import Cell, Job, every_job, scores_path

_SCHEMAS = {"scores": SCORES_SCHEMA, "images": IMAGES_SCHEMA}


def recipe(run: Run, parts: Split, cell: Cell, set_name: str, head: Head) -> str:
    """Return the hash (64 hexadecimal digits) of all that decides the scores of a job.

    Settings of the encoder, its pre-training, the selection and the head; the seed; the pool's images, those of every
    downstream set (the encoder is tested on the others, too), and their splits.
    """
    profile = run.profile
    pretraining: object = None
    if cell.selector != "none":
        settings = profile.pretrain.model_dump(mode="json", exclude={"checkpoint_seconds"})
        chosen: object = "all"
        if cell.selects:
            own = select.source_of(cell.selector)
            chosen = [cell.selector, own, cell.ratio, selection_settings(run, cell.selector), profile.embedder]
        pretraining = [settings, cell.compute, parts.pool.data_hash, chosen]
    segmentation = [profile.segment.model_dump(mode="json", exclude={"heads"}), head, set_name]
    sets = [data.data_hash for data in parts.sets.values()]
    return artefacts.hash_of("recipe", profile.encoder, cell.seed, pretraining, segmentation, sets)


def selection_settings(run: Run, selector: str) -> dict[str, object]:
    """Return the profile's settings for MedDEL and its kin; other selectors keep the defaults of their papers."""
    known = select.settings_of(selector) if selector.startswith("meddel") else ()
    return {name: value for name, value in run.profile.select.model_dump().items() if name in known}


def recipes(run: Run, jobs: Iterable[Job]) -> dict[Job, str]:
    """Return the recipe of each job."""
    jobs, index = list(jobs), study_index(run)
    parts = {seed: split(run, index, seed) for seed in {cell.seed for cell, _, _ in jobs}}
    return {job: recipe(run, parts[job[0].seed], *job) for job in jobs}


def missing(run: Run, jobs: Iterable[Job]) -> dict[Cell, list[tuple[str, Head]]]:
    """Return the cells that lack a score of some jobs, and the sets and heads that they are still to be scored on."""
    todo: dict[Cell, list[tuple[str, Head]]] = {}
    for (cell, name, head), wanted in recipes(run, jobs).items():
        if not is_scored(scores_path(run, cell, name, head), wanted):
            todo.setdefault(cell, []).append((name, head))
    return todo


def recipe_path(path: Path) -> Path:
    """Return the path of the recipe of the scores at `path`."""
    return path.parent / "recipe.json"


def is_scored(path: Path, wanted: str) -> bool:
    """Return whether the scores at `path` are finished and of the recipe `wanted`."""
    try:
        found = json.loads(recipe_path(path).read_text(encoding="utf-8"))["recipe"]
    except (OSError, ValueError):
        return False
    return found == wanted and path.is_file() and artefacts.read_provenance(path) is not None


def write_recipe(path: Path, made: str, pretraining: artefacts.Provenance | None) -> None:
    """Note that the scores at `path` are finished, of the recipe `made`, and where their encoder came from."""
    known = None if pretraining is None else pretraining.model_dump(mode="json")
    artefacts.write_json(recipe_path(path), {"recipe": made, "pretraining": known})


def save(run: Run, jobs: Iterable[Job], folder: Path) -> int:
    """Add the finished ones of some jobs to the ledger in `folder`, and return how many were new."""
    count = 0
    for seed, mine in _by_seed(run, jobs).items():
        made, tables = _read(folder, seed)
        fresh = {name: path for name, path in mine.items() if name not in made and is_scored(path, name)}
        if not fresh:
            continue
        for name, path in fresh.items():
            pretraining = json.loads(recipe_path(path).read_text(encoding="utf-8"))["pretraining"]
            scores = artefacts.read_provenance(path).model_dump(mode="json")
            made[name] = {"scores": scores, "pretraining": pretraining}
            for kind, rows in tables.items():
                table = pq.read_table(path.with_name(f"{kind}.parquet"))
                table = table.append_column("recipe", pa.array([name] * len(table), pa.string()))
                tables[kind] = pa.concat_tables([rows, table])
        for kind, table in tables.items():
            artefacts.write_table(folder / f"seed-{seed}.{kind}.parquet", table)
        # The provenance is written last: rows with a recipe that it does not hold are not read.
        artefacts.write_json(folder / f"seed-{seed}.json", made)
        count += len(fresh)
    return count


def load(run: Run, jobs: Iterable[Job], folder: Path) -> int:
    """Copy the jobs that only the ledger in `folder` holds to the run's folder, and return how many."""
    count = 0
    for seed, mine in _by_seed(run, jobs).items():
        made, tables = _read(folder, seed)
        for name, path in mine.items():
            if name not in made or is_scored(path, name):
                continue
            for kind, table in tables.items():
                part = table.filter(pc.equal(table["recipe"], name)).drop_columns("recipe")
                artefacts.write_table(path.with_name(f"{kind}.parquet"), part)
            artefacts.write_json(artefacts.provenance_path(path), made[name]["scores"])
            artefacts.write_json(recipe_path(path), {"recipe": name, "pretraining": made[name]["pretraining"]})
            count += 1
    return count


@contextmanager
def synced(run: Run, folder: Path | None) -> Iterator[None]:
    """Load the run's scores from the ledger in `folder`, and save there what the block finishes, even if it fails.

    Without a folder nothing is done.
    """
    if folder is None:
        yield
        return
    jobs = every_job(run)
    print(f"{load(run, jobs, folder)} of {len(jobs)} scores loaded from {folder}", flush=True)
    try:
        yield
    finally:
        print(f"{save(run, jobs, folder)} new scores saved to {folder}", flush=True)


def provenance(run: Run, jobs: Iterable[Job], folder: Path) -> list[dict[str, Any]]:
    """Return the provenance of ``scores`` and of ``pretraining`` (None without) of the jobs that the ledger holds."""
    found = []
    for seed, mine in _by_seed(run, jobs).items():
        made, _ = _read(folder, seed)
        found += [made[name] for name in mine if name in made]
    return found


def _by_seed(run: Run, jobs: Iterable[Job]) -> dict[int, dict[str, Path]]:
    """Return, for each seed, the paths of scores by recipe."""
    found: dict[int, dict[str, Path]] = {}
    for job, name in recipes(run, jobs).items():
        found.setdefault(job[0].seed, {})[name] = scores_path(run, *job)
    return found


def _read(folder: Path, seed: int) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """Return the seed's provenance by recipe and its tables, without the rows of a `save` that was cut off."""
    path = folder / f"seed-{seed}.json"
    if not path.is_file():
        named = pa.field("recipe", pa.string())
        return {}, {kind: schema.append(named).empty_table() for kind, schema in _SCHEMAS.items()}
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        tables = {kind: pq.read_table(folder / f"seed-{seed}.{kind}.parquet") for kind in _SCHEMAS}
    except (OSError, ValueError, pa.ArrowException) as error:
        raise MedDELError("the ledger can't be read", path, "take it from the project again, or delete it") from error
    named = pa.array(list(made), pa.string())
    return made, {kind: table.filter(pc.is_in(table["recipe"], named)) for kind, table in tables.items()}
