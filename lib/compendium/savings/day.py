"""Section 1's day of endoscopy, with what this machine and these files measure in place of what the paper assumes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from compendium import published
from compendium.savings.rates import Rates
from compendium.savings.storage import file_bytes
from compendium.savings.throughput import forward_rates
from meddel import evidence
from meddel.config import Run

_COLUMNS = ["what", "published", "arithmetic", "ours", "low", "high", "unit", "how"]


def storage_of_a_day(index: pa.Table) -> pd.DataFrame:
    """Return what a day's frames take, as printed, as computed from what is printed, and at the size of real files.

    Parameters
    ----------
    index : pa.Table
        `meddel.images.index.INDEX_SCHEMA`: the images whose files are weighed.

    Returns
    -------
    DataFrame
        what, published, arithmetic (from the printed frames and frame size), ours (bytes per pixel of all files times
        the printed frame's pixels), low and high (the same for the sources of the smallest and the largest files, as
        what a pixel costs hangs on picture and format), unit, how.
    """
    number = {key: entry.value for key, entry in published.printed().items()}
    size = pd.DataFrame({"source": index["source"].to_pylist(), "bytes": file_bytes(index)})
    size["pixels"] = np.array(index["width"].to_pylist()) * np.array(index["height"].to_pylist())
    sources = size.groupby("source")[["bytes", "pixels"]].sum()
    rate = size.bytes.sum() / size.pixels.sum()
    least, most = (sources.bytes / sources.pixels).agg(["min", "max"])
    pixels = number["frame_width"] * number["frame_height"]
    frames, raw = number["frames_per_day"], published.storage_bytes()
    how = f"{frames:,.0f} frames x {pixels:,.0f} pixels x {rate:.3f} B"
    spans = [np.array([rate, least, most]) * pixels * frames / unit for unit in (2**40, 1e18)]
    rows = [
        ("bytes a pixel", number["frame_channels"], number["frame_channels"], rate, least, most, "B",
         f"{len(size):,} files of {len(sources)} sources"),
        ("a day's frames", number["storage_tb"], raw / 2**40, *spans[0], "TiB", how),
        ("a day's frames", number["storage_eb"], raw / 1e18, *spans[1], "EB", how),
        ("core data of a day", np.nan, number["core_share"] * raw / 2**40, *(number["core_share"] * spans[0]), "TiB",
         f"{100 * number['core_share']:g} % of the frames"),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=_COLUMNS)


def hours_of_a_day(run: Run, found: Sequence[Rates]) -> pd.DataFrame:
    """Return how long a day's frames take, as printed and at the rates of this machine.

    Choosing frames by their embeddings takes a forward pass over each of them. Where the pass to be saved is a forward
    pass too, that costs more than it saves; where it is a training, the difference is left.

    Parameters
    ----------
    run : Run
        A run whose study is computed.
    found : sequence of Rates
        `compendium.savings.rates`, in seconds.

    Returns
    -------
    DataFrame
        what, published, arithmetic (from printed numbers), ours (mean over the seeds), low, high (95 % interval over
        the seeds; NaN for one), unit, how.
    """
    number = {key: entry.value for key, entry in published.printed().items()}
    frames, core = number["frames_per_day"], number["core_share"]
    forward = forward_rates(run, [rate.seed for rate in found]).groupby("seed").images_per_second.mean().to_numpy()
    passing = frames / forward / 3600
    training = frames * np.array([rate.train for rate in found]) / 3600
    hours = frames / number["throughput"] / 3600
    encoder = run.profile.encoder
    shape = f"ViT, {encoder.image_size} px, width {encoder.width}" if run.profile.embedder == "own" else "ViT-Base"
    rows = [
        ("images a second", number["throughput"], np.nan, forward, "images/s", f"forward pass, {shape}, {run.device}"),
        ("one pass over a day", number["hours"], hours, passing, "h", "forward pass"),
        ("saved with core data, choosing is free", number["hours_saved"], (1 - core) * hours, (1 - core) * passing,
         "h", f"{100 * (1 - core):g} % of it"),
        ("saved, choosing by embeddings", np.nan, -core * hours, -core * passing, "h",
         "less one forward pass over all frames"),
        ("one pass of pre-training over a day", np.nan, np.nan, training, "h", "measured pre-training, per image seen"),
        ("saved of it, choosing by embeddings", np.nan, np.nan, (1 - core) * training - passing, "h",
         f"{100 * (1 - core):g} % of it, less one forward pass over all frames"),
    ]  # fmt: skip
    table = [
        (what, printed, computed, ours.mean(), *evidence.interval(ours), unit, how)
        for what, printed, computed, ours, unit, how in rows
    ]
    return pd.DataFrame(table, columns=_COLUMNS)
