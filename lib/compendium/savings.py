"""Measure the savings of a smaller subset: room on the disk (section 4.3), seconds, joules and memory (section 4.4).

*Selecting* is what choosing costs, *training* what is done with the images that were chosen: the first is paid once,
the second for every encoder. At *equal compute* a subset sees as many images as the whole pool, so its training saves
nothing. At *equal epochs* a pre-training on a share r of the images saves 1 - r of it. An encoder of one's own, which
embeds the pool, costs one pre-training on all images first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure

from compendium import published
from compendium.figures import style
from meddel import artefacts, evidence, study
from meddel.config import Run
from meddel.errors import MedDELError

STEPS = ("whole-pool pre-training", "embedding", "selection", "pre-training")
"""The steps that an encoder is billed for, in the order of the pipeline; the first three only where they are needed."""
OWN, READY = "own encoder", "ready-made encoder"
"""Where the encoder that embeds comes from: pre-trained on the whole pool for this, or there already."""
_ARM = ["selector", "ratio", "compute"]
_GREATEST = ["peak_memory_bytes", "added_memory_bytes", "gpu_memory_bytes"]
_DAY = ["what", "published", "arithmetic", "ours", "low", "high", "unit", "how"]


def file_bytes(index: pa.Table) -> np.ndarray:
    """Return the size of every image file of an index, in bytes: int64 [n]."""
    try:
        return np.array([Path(path).stat().st_size for path in index["path"].to_pylist()], dtype=np.int64)
    except OSError as error:
        raise MedDELError("an image of the index is gone", error.filename, "index the images again") from error


def storage(run: Run, cells: Sequence[study.Cell] | None = None) -> pd.DataFrame:
    """Return what the images that each cell keeps take on the disk (section 4.3); default: Table 3's cells.

    The columns are seed, selector, ratio, images, bytes, image_share and byte_share (of the pool). The share of the
    bytes need not be that of the images: a selector that drops blurred frames keeps large files.
    """
    rows = []
    for cell in study.cells(run) if cells is None else cells:
        if cell.selector == "none":
            continue
        size = file_bytes(study.pool(run, cell.seed).index)
        kept = study.selection(run, cell)["kept"].to_numpy() if cell.selects else np.ones(len(size), bool)
        images, held = int(kept.sum()), int(size[kept].sum())
        rows.append((cell.seed, cell.selector, cell.ratio, images, held, images / len(size), held / size.sum()))
    return pd.DataFrame(rows, columns=["seed", "selector", "ratio", "images", "bytes", "image_share", "byte_share"])


def bytes_on_disk(run: Run, cells: Sequence[study.Cell]) -> pd.DataFrame:
    """Return what selecting and what training need on the disk: seed, selector, ratio, part, item, bytes.

    Selecting needs the files of the whole pool until the choice is made, its table, and where the pool is embedded the
    store and the run's own encoder. Training needs the files kept, their decoded pixels, the checkpoint while it trains
    (its tensors; NaN where an older record does not have them) and the weights.
    """
    rows = []
    side = run.profile.encoder.image_size
    for cell in [cell for cell in cells if cell.selector != "none"]:
        paths, held = _paths(run, cell), storage(run, [cell]).iloc[0]
        made = _provenance(paths["pre-training"], "pre-training", cell)
        items = [
            ("training", "images kept", held.bytes),
            ("training", "decoded pixels", held.images * side * side * 3),
            ("training", "checkpoint", np.nan if made.scratch_bytes is None else made.scratch_bytes),
            ("training", "weights", _size(paths["pre-training"])),
        ]
        if cell.selects:
            whole = file_bytes(study.pool(run, cell.seed).index).sum()
            items += [("selection", "images of the pool", whole), ("selection", "selection", _size(paths["selection"]))]
        if "embedding" in paths:
            items.append(("selection", "embedding store", _size(paths["embedding"].parent)))
        if "whole-pool pre-training" in paths:
            items.append(("selection", "encoder that embeds", _size(paths["whole-pool pre-training"])))
        rows += [(cell.seed, cell.selector, cell.ratio, part, item, float(size)) for part, item, size in items]
    return pd.DataFrame(rows, columns=["seed", "selector", "ratio", "part", "item", "bytes"])


def computing(run: Run, cells: Sequence[study.Cell] | None = None) -> pd.DataFrame:
    """Return the measured cost of every step that each cell's encoder needs from nothing (section 4.4).

    Parameters
    ----------
    run : Run
        A run whose cells are computed.
    cells : sequence of Cell, optional
        Default: Table 3's and Table 4's; a cell without pre-training costs nothing and is left out.

    Returns
    -------
    DataFrame
        seed, selector, ratio, compute (share of the full pre-training), step (one of `STEPS`), seconds, joules (NaN
        where not counted), joules_by, joules_absent, peak_memory_bytes, peak_memory_of (``step``, or ``process`` where
        only the process's peak is known), gpu_memory_bytes and added_memory_bytes (above the memory before the step).
        All is read from the artefacts' provenance.
    """
    names = ["seconds", "joules", "joules_by", "joules_absent", "peak_memory_bytes", "peak_memory_of"]
    names.append("gpu_memory_bytes")
    rows = []
    for cell in [*study.cells(run), *study.shorter_cells(run)] if cells is None else cells:
        for step, path in _paths(run, cell).items():
            made = _provenance(path, step, cell)
            known = made.memory_before_bytes is not None and made.peak_memory_of == "step"
            added = made.peak_memory_bytes - made.memory_before_bytes if known else np.nan
            costs = [getattr(made, name) for name in names]
            rows.append((cell.seed, cell.selector, cell.ratio, cell.compute, step, *costs, added))
    table = pd.DataFrame(rows, columns=["seed", *_ARM, "step", *names, "added_memory_bytes"])
    return table.astype(dict.fromkeys(("joules", *_GREATEST[1:]), float))


def _paths(run: Run, cell: study.Cell) -> dict[str, Path]:
    """Return the artefact of every step that the cell's encoder needs, made or not."""
    if cell.selector == "none":
        return {}
    weights = Path("pretrain") / "encoder.safetensors"
    paths = {"pre-training": study.folder(run, cell) / weights}
    if cell.selects:
        paths["selection"] = study.folder(run, cell) / "selection.parquet"
    if cell.selects and cell.selector != "random":
        whole = study.folder(run, study.whole_pool(cell.seed))
        paths["embedding"] = whole.parent / "store" / "store.json"
        if run.profile.embedder == "own":
            paths["whole-pool pre-training"] = whole / weights
    return paths


def _provenance(path: Path, step: str, cell: study.Cell) -> artefacts.Provenance:
    made = artefacts.read_provenance(path)
    if made is None:
        raise MedDELError(f"{step} of {cell.name} is not finished", path, "call study.run_study first")
    return made


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def seconds_from_nothing(steps: pd.DataFrame) -> pd.DataFrame:
    """Add up what an encoder costs from nothing, mean over the seeds, from `computing`.

    The columns are selector, ratio, compute, the seconds of each of `STEPS` (0 where it is not needed), total, and
    of_all, the total as a share of that of all images.
    """
    wide = steps.pivot_table(index=_ARM, columns="step", values="seconds", aggfunc="mean", fill_value=0.0)
    table = wide.reindex(columns=list(STEPS), fill_value=0.0)
    table["total"] = table.sum(axis=1)
    table["of_all"] = table.total / table.total.xs("all", level="selector").iloc[0]
    return table.rename_axis(columns=None).reset_index()


def apart(steps: pd.DataFrame) -> pd.DataFrame:
    """Add up selecting and training apart, mean over the seeds, from `computing`.

    The columns are selector, ratio, compute, part; seconds with the 95 % interval over the seeds (low, high); joules
    (NaN if one step was not counted); and the greatest memory of the part's steps.
    """
    parts = steps.assign(part=np.where(steps.step == STEPS[-1], "training", "selection"))
    groups = parts.groupby([*_ARM, "part", "seed"])
    whole = groups[_GREATEST].max()
    whole["seconds"] = groups.seconds.sum()
    whole["joules"] = groups.joules.sum(min_count=1).where(groups.joules.count() == groups.size())
    rows = []
    for arm, seeds in whole.groupby([*_ARM, "part"], sort=True):
        means = (seeds.seconds.mean(), *evidence.interval(seeds.seconds), seeds.joules.mean(skipna=False))
        rows.append((*arm, *means, *seeds[_GREATEST].max()))
    return pd.DataFrame(rows, columns=[*_ARM, "part", "seconds", "low", "high", "joules", *_GREATEST])


def reuses(steps: pd.DataFrame, measure: str = "seconds") -> pd.DataFrame:
    """Return how many pre-trainings of equal epochs must use MedDEL's subset to pay for selecting it.

    `steps` is as `computing` returns it, `measure` seconds or joules. The columns are ratio, way (`OWN` or `READY`),
    trainings (mean over the seeds; need not be whole), low, high (95 % interval) and whole, the next whole number.
    """
    full = steps[steps.compute == 1]
    training = full[full.step == STEPS[-1]].groupby("seed")[measure].agg(lambda costs: costs.mean(skipna=False))
    chosen = full[(full.selector == "meddel") & full.step.isin(["embedding", "selection"])]
    if chosen.empty:
        raise MedDELError("no steps of MedDEL", fix="give those of a full pre-training on its selection")
    rows = []
    for ratio, part in chosen.groupby("ratio"):
        ready = part.groupby("seed")[measure].agg(lambda costs: costs.sum(skipna=False))
        for way, selecting in ((OWN, ready + training), (READY, ready)):
            needed = (selecting / ((1 - ratio) * training)).dropna()
            whole = math.nan if needed.empty else max(1, math.ceil(needed.mean()))
            rows.append((ratio, way, needed.mean(), *evidence.interval(needed), whole))
    return pd.DataFrame(rows, columns=["ratio", "way", "trainings", "low", "high", "whole"])


def storage_of_a_day(index: pa.Table) -> pd.DataFrame:
    """Return what section 1's day of frames takes: as printed, from the printed factors, at the size of real files.

    `ours` has the bytes a pixel of all files of the index, low and high those of the sources of the smallest and the
    largest files.
    """
    number, raw = published.numbers(), published.storage_bytes()
    size = pd.DataFrame({"source": index["source"].to_pylist(), "bytes": file_bytes(index)})
    size["pixels"] = np.array(index["width"].to_pylist()) * np.array(index["height"].to_pylist())
    sources = size.groupby("source")[["bytes", "pixels"]].sum()
    each = sources.bytes / sources.pixels
    rate = np.array([size.bytes.sum() / size.pixels.sum(), each.min(), each.max()])
    pixels = number["frame_width"] * number["frame_height"]
    frames, core = number["frames_per_day"], number["core_share"]
    day, how = rate * pixels * frames, f"{frames:,.0f} frames x {pixels:,.0f} pixels x {rate[0]:.3f} B"
    channels, of = number["frame_channels"], f"{len(size):,} files of {len(sources)} sources"
    rows = [
        ("bytes a pixel", channels, channels, *rate, "B", of),
        ("a day's frames", number["storage_tb"], raw / 2**40, *day / 2**40, "TiB", how),
        ("a day's frames", number["storage_eb"], raw / 1e18, *day / 1e18, "EB", how),
        ("core data of a day", np.nan, core * raw / 2**40, *core * day / 2**40, "TiB", f"{core:.0%} of the frames"),
    ]
    return pd.DataFrame(rows, columns=_DAY)


def hours_of_a_day(run: Run, steps: pd.DataFrame) -> pd.DataFrame:
    """Return how long section 1's day of frames takes: as printed, and at the rates measured in `computing`'s steps.

    A frame is chosen by its embedding, which takes a forward pass over all frames. If the pass that is saved is a
    forward pass too, choosing costs more than it saves; if it is a training, the difference is left.
    """
    number = published.numbers()
    frames, core = number["frames_per_day"], number["core_share"]
    full = steps[(steps.compute == 1) & (steps.selector.isin(["all", "meddel"]))]
    seeds = [(seed, study.pool(run, seed).index.num_rows) for seed in full.seed.unique()]
    seconds = full.groupby(["step", "seed"]).seconds.mean()
    forward = np.array([n / seconds["embedding", seed] for seed, n in seeds])
    trained = np.array([run.profile.pretrain.images_seen / seconds[STEPS[-1], seed] for seed, _ in seeds])
    hours, passing, training = frames / number["throughput"] / 3600, frames / forward / 3600, frames / trained / 3600
    less = "less one forward pass over all frames"
    rows = [
        ("images a second", number["throughput"], np.nan, forward, "images/s", f"embedding, {run.device}"),
        ("one pass over a day", number["hours"], hours, passing, "h", "forward pass"),
        ("saved with core data, choosing is free", number["hours_saved"], (1 - core) * hours, (1 - core) * passing,
         "h", f"{1 - core:.0%} of it"),
        ("saved, choosing by embeddings", np.nan, -core * hours, -core * passing, "h", less),
        ("one pass of pre-training over a day", np.nan, np.nan, training, "h", "pre-training, per image seen"),
        ("saved of it, choosing by embeddings", np.nan, np.nan, (1 - core) * training - passing, "h", less),
    ]  # fmt: skip
    table = [(*row[:3], row[3].mean(), *evidence.interval(row[3]), *row[4:]) for row in rows]
    return pd.DataFrame(table, columns=_DAY)


@style.styled()
def draw_seconds(totals: pd.DataFrame) -> Figure:
    """Draw the seconds of `seconds_from_nothing` as stacked bars, a bar per encoder, all images as a broken line."""
    table = totals.sort_values(["ratio", "selector", "compute"], ascending=False).reset_index(drop=True)
    shorter = ["" if share == 1 else f", {style.percent(share)} of the steps" for share in table.compute]
    names = [style.arm(*arm) for arm in zip(table.selector, table.ratio, strict=True)]
    names = [f"{name}{text}" for name, text in zip(names, shorter, strict=True)]
    figure, [axis] = style.new(1, 1, 8.0, 1.5 + 0.34 * len(table))
    left = 0 * table.total
    for step, colour in zip(STEPS, (style.BLUE, style.GREEN, style.PURPLE, style.RED), strict=True):
        axis.barh(names, table[step], left=left, color=colour, height=0.62, label=step)
        left = left + table[step]
    axis.axvline(table.total[table.selector == "all"].iloc[0], color="black", linestyle="--", linewidth=1)
    axis.set_xlabel("wall-clock seconds, mean over seeds")
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    text = "; ".join(f"{name} {total:.1f}" for name, total in zip(names, table.total, strict=True))
    message = "What each encoder costs from nothing; broken line: pre-training on all images"
    return style.finish(figure, message, f"Stacked bars of seconds per step. In total: {text}.", legend=4)
