"""The study (section 4) from left to right, as `compute` runs it.

    index -> pixels -> split -> pretrain(whole) -> embed -> select -> pretrain(kept) -> segment -> score

Each step is given what the step before returned. What is finished in the run's folder is read and not made again, so
that a study that was cut off goes on; an encoder that lacks no score is passed over, whether or not it still exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from meddel import artefacts, embed, encoder
from meddel import select as selectors
from meddel.config import Head, Run
from meddel.images import pixels
from meddel.pretrain import pretrain, reconstruction_errors
from meddel.progress import progress
from meddel.segment import SegmentationSet, segment
from meddel.store import Store
from meddel.study import ledger
from meddel.study.data import Split, split, study_index
from meddel.study.grid import Cell, folder, scores_path, whole_pool


class Embedded(NamedTuple):
    """The pool as selectors see it: embeddings, and how badly each image is rebuilt (float32 [n]) if one asks."""

    store: Store
    errors: np.ndarray | None


def compute(run: Run, todo: Mapping[Cell, Sequence[tuple[str, Head]]]) -> dict[Cell, Path | None]:
    """Train the encoders of some cells and score them, seed by seed, in the given order.

    `todo` is, for each cell, the downstream sets and heads that it is to be scored on (`ledger.missing`); where there
    are none, its encoder is only trained. Returned is each cell's encoder (safetensors), None for ``none``.
    """
    encoders: dict[Cell, Path | None] = {}
    if not todo:
        return encoders
    with _threads(run), progress(what="study", total=sum(map(len, todo.values())), unit="score") as bar:
        index = study_index(run)  # index
        decoded = study_pixels(run, index)  # pixels
        for seed in dict.fromkeys(cell.seed for cell in todo):
            mine = [cell for cell in todo if cell.seed == seed]
            parts = split(run, index, seed)  # split
            sets = segmentation_sets(decoded, parts) if any(todo[cell] for cell in mine) else []
            if chosen := [cell.selector for cell in mine if cell.selects]:
                whole = pretrain_whole(run, decoded, parts, chosen)  # pretrain(whole)
                embedded = embed_pool(run, decoded, parts, chosen, whole)  # embed
            for cell in mine:
                kept = parts.pool.rows
                if cell.selects:
                    kept = kept[select_images(run, cell, parts, embedded)["kept"].to_numpy()]  # select
                weights = None
                if cell.selector != "none":
                    weights = pretrain_encoder(run, cell, decoded, parts, kept)  # pretrain(kept)
                encoders[cell] = weights
                for name, head in todo[cell]:
                    score_encoder(run, cell, parts, weights, sets, name, head)  # segment, score
                    bar.update(1)
    return encoders


def embedded_pool(run: Run, seed: int, chosen: Sequence[str] = ()) -> tuple[Split, Embedded]:
    """Return the split of `seed` and its embedded pool, made if it is missing: index -> ... -> embed."""
    with _threads(run):
        index = study_index(run)
        decoded, parts = study_pixels(run, index), split(run, index, seed)
        return parts, embed_pool(run, decoded, parts, chosen, pretrain_whole(run, decoded, parts, chosen))


def store(run: Run, seed: int) -> Store:
    """Return the embeddings of the pool of `seed`, made if they are missing."""
    return embedded_pool(run, seed)[1].store


def selection(run: Run, cell: Cell) -> pa.Table:
    """Return what a cell's selector keeps of the pool, made if it is missing: index -> ... -> select."""
    return select_images(run, cell, *embedded_pool(run, cell.seed, [cell.selector]))


def study_pixels(run: Run, index: pa.Table) -> pixels.Pixels:
    """Return the images of an index, decoded once at the encoder's size."""
    return pixels.decode(index, run.profile.encoder.image_size, run.out / "pixels")


def segmentation_sets(decoded: pixels.Pixels, parts: Split) -> list[SegmentationSet]:
    """Return the downstream sets with the splits of one seed."""
    return [
        SegmentationSet(name, decoded.images[data.rows], decoded.masks[data.rows], data.splits, data.ids)
        for name, data in parts.sets.items()
    ]


def pretrain_whole(run: Run, decoded: pixels.Pixels, parts: Split, chosen: Sequence[str]) -> Path | None:
    """Pre-train on the whole pool of a seed, if that encoder embeds it or a selector asks for its errors."""
    if run.profile.embedder != "own" and not _ask_for_errors(chosen):
        return None
    return pretrain_encoder(run, whole_pool(parts.seed), decoded, parts, parts.pool.rows)


def embed_pool(run: Run, decoded: pixels.Pixels, parts: Split, chosen: Sequence[str], whole: Path | None) -> Embedded:
    """Embed the pool for some selectors (section 3.2), by the encoder of the whole pool or by the hub's ViT."""
    pool, here, own = parts.pool, folder(run, whole_pool(parts.seed)).parent, run.profile.embedder == "own"
    model = encoder.load(whole)[0] if own else encoder.hub()[0]
    same = decoded if own else None  # the hub's ViT sees larger images
    embedded = embed.embed(pool.index, here / "store", model=model, device=run.device, pixels=same)
    if not _ask_for_errors(chosen):
        return Embedded(embedded, None)
    given = {"device": run.device, "data_hash": pool.data_hash}
    images, config = decoded.images[pool.rows], run.profile.pretrain
    return Embedded(embedded, reconstruction_errors(whole, images, config, parts.seed, here / "hardness", **given))


def _ask_for_errors(chosen: Sequence[str]) -> bool:
    return any("errors" in selectors.settings_of(name) for name in chosen)


def select_images(run: Run, cell: Cell, parts: Split, embedded: Embedded) -> pa.Table:
    """Return what a cell's selector keeps of the pool, and why the rest is deleted (`select.SELECTION_SCHEMA`)."""
    path, pool = folder(run, cell) / "selection.parquet", parts.pool
    settings = ledger.selection_settings(run, cell.selector)
    inputs = (run.profile.embedder, embedded.store.hash, pool.data_hash)
    source = selectors.source_of(cell.selector)
    key = artefacts.hash_of("selection", cell.selector, source, cell.ratio, cell.seed, settings, *inputs)
    if not artefacts.is_finished(path, key):
        parameters = {**settings, **cell.model_dump()}
        with artefacts.recorded(path, key, parameters=parameters, seed=cell.seed, data_hash=pool.data_hash):
            budget, rng = selectors.budget_for(cell.ratio, len(pool.rows)), np.random.default_rng(cell.seed)
            if _ask_for_errors([cell.selector]):
                settings = {**settings, "errors": embedded.errors}
            select = selectors.get(cell.selector)
            artefacts.write_table(path, select(embedded.store.embeddings, pool.index, budget, rng, **settings))
    return pq.read_table(path)


def pretrain_encoder(run: Run, cell: Cell, decoded: pixels.Pixels, parts: Split, rows: np.ndarray) -> Path:
    """Pre-train a cell's encoder on the images `rows` (section 4.1) and return the path of its weights.

    Equal compute: every ratio sees the same number of images (Table 2), times the cell's `compute`.
    """
    config = run.profile.pretrain
    if cell.compute != 1:
        config = config.model_copy(update={"images_seen": round(config.images_seen * cell.compute)})
    return pretrain(
        decoded.images,
        rows,
        run.profile.encoder,
        config,
        cell.seed,
        folder(run, cell) / "pretrain",
        device=run.device,
        data_hash=parts.pool.data_hash,
        pool=len(parts.pool.rows),
    )


def score_encoder(
    run: Run,
    cell: Cell,
    parts: Split,
    weights: Path | None,
    sets: Sequence[SegmentationSet],
    name: str,
    head: Head,
) -> None:
    """Segment the set `name` with a cell's encoder (section 4.1), and test on the other sets too (section 4.6)."""
    path = scores_path(run, cell, name, head)
    ledger.recipe_path(path).unlink(missing_ok=True)
    segment(
        head,
        weights,
        run.profile.encoder,
        next(data for data in sets if data.name == name),
        run.profile.segment,
        cell.seed,
        selector=cell.selector,
        ratio=cell.ratio,
        out=path.parent,
        device=run.device,
        transfer=[data for data in sets if data.name != name],
    )
    pretraining = None if weights is None else artefacts.read_provenance(weights)
    ledger.write_recipe(path, ledger.recipe(run, parts, cell, name, head), pretraining)


@contextmanager
def _threads(run: Run) -> Iterator[None]:
    """Compute with the profile's number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(run.profile.threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
