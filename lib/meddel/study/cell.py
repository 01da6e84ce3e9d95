"""What one cell of the study makes: a selection, an encoder, and its scores downstream; each computed only once."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from meddel import artefacts, embed, encoder
from meddel import select as selectors
from meddel.config import Head, Run
from meddel.pretrain import pretrain
from meddel.pretrain.reconstruction import reconstruction_errors
from meddel.segment import HEADS
from meddel.store import Store
from meddel.study.data import pool, roles, segmentation_set, study_pixels
from meddel.study.grid import Cell
from meddel.study.recipe import recipe, selection_settings


def folder(run: Run, cell: Cell) -> Path:
    """Return the folder of the cell's artefacts."""
    return run.out / "study" / f"seed-{cell.seed}" / cell.name


def whole_pool(seed: int) -> Cell:
    """Return the cell that pre-trains on everything, whose encoder also embeds the pool."""
    return Cell(selector="all", ratio=1.0, seed=seed)


def pretrained(run: Run, cell: Cell) -> Path | None:
    """Return the cell's encoder (safetensors), pre-trained on what it selects (section 4.1); None for ``none``.

    Equal compute: every ratio sees the same number of images (Table 2), times the cell's `compute`.
    """
    if cell.selector == "none":
        return None
    chosen = pool(run, cell.seed)
    rows = chosen.rows
    if cell.selector != "all":
        rows = rows[np.array(selection(run, cell)["kept"].to_pylist(), dtype=bool)]
    config = run.profile.pretrain
    if cell.compute != 1:
        config = config.model_copy(update={"images_seen": round(config.images_seen * cell.compute)})
    with _threads(run):
        return pretrain(
            study_pixels(run).images,
            rows,
            run.profile.encoder,
            config,
            cell.seed,
            folder(run, cell) / "pretrain",
            device=run.device,
            data_hash=chosen.data_hash,
            pool=len(chosen.rows),
        )


@functools.lru_cache(maxsize=8)
def store(run: Run, seed: int) -> Store:
    """Return the embeddings of the pool of `seed` (section 3.2), by the run's own encoder or by the hub's ViT."""
    if run.profile.embedder == "own":
        path = pretrained(run, whole_pool(seed))
        model, decoded = encoder.load(path)[0], study_pixels(run)
    else:
        model, decoded = encoder.hub()[0], None
    with _threads(run):
        return embed.embed(
            pool(run, seed).index,
            run.out / "study" / f"seed-{seed}" / "store",
            model=model,
            device=run.device,
            pixels=decoded,
        )


def selection(run: Run, cell: Cell) -> pa.Table:
    """Return what the cell's selector keeps of the pool, and why the rest went (section 3.2)."""
    path = folder(run, cell) / "selection.parquet"
    chosen = pool(run, cell.seed)
    settings = selection_settings(run, cell.selector)
    embedded = store(run, cell.seed)
    inputs = (run.profile.embedder, embedded.hash, chosen.data_hash)
    source = selectors.source_of(cell.selector)
    key = artefacts.hash_of("selection", cell.selector, source, cell.ratio, cell.seed, settings, *inputs)
    if not artefacts.is_finished(path, key):
        parameters = {**settings, **cell.model_dump()}
        with artefacts.recorded(path, key, parameters=parameters, seed=cell.seed, data_hash=chosen.data_hash):
            budget = selectors.budget_for(cell.ratio, len(chosen.rows))
            rng = np.random.default_rng(cell.seed)
            select = selectors.get(cell.selector)
            errors = {"errors": hardness(run, cell.seed)} if "errors" in selectors.settings_of(cell.selector) else {}
            artefacts.write_table(path, select(embedded.embeddings, chosen.index, budget, rng, **settings, **errors))
    return pq.read_table(path)


@functools.lru_cache(maxsize=8)
def hardness(run: Run, seed: int) -> np.ndarray:
    """Return how badly the encoder of the whole pool rebuilds each of its images: float32 [n], for ``hardness``."""
    chosen, weights = pool(run, seed), pretrained(run, whole_pool(seed))
    with _threads(run):
        return reconstruction_errors(
            weights,
            study_pixels(run).images[chosen.rows],
            run.profile.pretrain,
            seed,
            run.out / "study" / f"seed-{seed}" / "hardness",
            device=run.device,
            data_hash=chosen.data_hash,
        )


def scores(run: Run, cell: Cell, set_name: str, head: Head, transfer: bool = False) -> pa.Table:
    """Return the cell's scores per epoch on one downstream set with one head (section 4.1).

    With `transfer`, those on the other sets' test splits instead (section 4.6), whose set reads ``"trained>tested"``.
    What is finished is read and nothing that leads to it is made again (`recipe`).
    """
    path = scores_path(run, cell, set_name, head)
    wanted = recipe(run, cell, set_name, head)
    table = pq.read_table(path) if is_scored(path, wanted) else _segmented(run, cell, set_name, head, wanted)
    own = pc.equal(table["set"], set_name)
    return table.filter(pc.invert(own) if transfer else own)


def scores_path(run: Run, cell: Cell, set_name: str, head: Head) -> Path:
    """Return where the cell's scores lie, with ``images.parquet`` and ``recipe.json`` beside them."""
    return folder(run, cell) / f"{set_name}-{head}" / "scores.parquet"


def is_scored(path: Path, wanted: str) -> bool:
    """Tell whether the scores at `path` are finished and of the recipe `wanted`."""
    try:
        found = json.loads((path.parent / "recipe.json").read_text(encoding="utf-8"))["recipe"]
    except (OSError, ValueError):
        return False
    return found == wanted and path.is_file() and artefacts.read_provenance(path) is not None


def write_recipe(path: Path, made: str, pretraining: artefacts.Provenance | None) -> None:
    """Note that the scores at `path` are finished, of the recipe `made`, and where their encoder came from."""
    known = None if pretraining is None else pretraining.model_dump(mode="json")
    artefacts.write_json(path.parent / "recipe.json", {"recipe": made, "pretraining": known})


def read_pretraining(path: Path) -> artefacts.Provenance | None:
    """Return the provenance of the encoder that the finished scores at `path` belong to; None without pre-training."""
    known = json.loads((path.parent / "recipe.json").read_text(encoding="utf-8"))["pretraining"]
    return None if known is None else artefacts.Provenance(**known)


def _segmented(run: Run, cell: Cell, set_name: str, head: Head, wanted: str) -> pa.Table:
    path = scores_path(run, cell, set_name, head)
    (path.parent / "recipe.json").unlink(missing_ok=True)
    others = [segmentation_set(run, name, cell.seed) for name in roles(run)[1] if name != set_name]
    weights = pretrained(run, cell)
    with _threads(run):
        table = HEADS[head](
            weights,
            run.profile.encoder,
            segmentation_set(run, set_name, cell.seed),
            run.profile.segment,
            cell.seed,
            selector=cell.selector,
            ratio=cell.ratio,
            out=path.parent,
            device=run.device,
            transfer=others,
        )
    write_recipe(path, wanted, None if weights is None else artefacts.read_provenance(weights))
    return table


@contextmanager
def _threads(run: Run) -> Iterator[None]:
    """Compute with the profile's number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(run.profile.threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
