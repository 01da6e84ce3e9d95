"""Where the paper's numbers don't agree with each other or with the data sets' own sources, with the arithmetic.

Each function returns rows of `published.COMPARISON_COLUMNS`. ``agrees`` says whether the two values agree, not which of
them is right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from compendium import published
from compendium.published import comparisons

_MARKS = ["whisker_low", "q1", "median", "q3", "whisker_high"]
_READING_ERROR = 0.03
"""How far two values read off the vector figures may be apart and still be the same (points of mIoU)."""


def boxes() -> pd.DataFrame:
    """Compare Fig. 4's boxes of two sets with each other, and all boxes with the quartiles of Fig. 3's curves.

    A box of PolypGen2021, Fig. 4(e), counts as that of CVC-300, Fig. 4(f), if at least three of its five marks are at
    one and the same shift.
    """
    drawn, curves = published.fig4(), published.curve_quartiles()
    wide = (100 * drawn.set_index(["dataset", drawn.ratio.map(_label)])[_MARKS]).round(4)
    rows: list[tuple[Any, ...]] = []
    for label, marks in wide.loc["PolypGen2021"].iterrows():
        other = wide.loc[("CVC-300", label)]
        shift = (marks - other).round(2)
        same = int((abs(shift - shift.median()) <= _READING_ERROR).sum())
        rows.append((
            f"PolypGen2021's box at {label} is its own", "Fig. 4(e), Fig. 4(f)",
            round(marks["median"], 2), round(other["median"], 2), "% mIoU, median",
            f"{same} of 5 marks are {shift.median():.2f} points above CVC-300's "
            f"(all: {', '.join(f'{value:.2f}' for value in shift)})",
            same < 3,
        ))  # fmt: skip
    pairs = curves.merge(drawn, on=["dataset", "ratio"], suffixes=("_curve", "_box"))
    for pair in pairs.to_dict("records"):
        shifts = [100 * (pair[f"{mark}_box"] - pair[f"{mark}_curve"]) for mark in ("q1", "median", "q3")]
        rows.append((
            f"{pair['dataset']} at {_label(pair['ratio'])}: the box holds its curve's quartiles", "Fig. 3, Fig. 4",
            round(100 * pair["median_box"], 2), round(100 * pair["median_curve"], 2), "% mIoU, median",
            f"box minus the quartiles of the last {pair['epochs']} epochs: "
            f"{', '.join(f'{shift:+.2f}' for shift in shifts)} points",
            max(map(abs, shifts)) <= _READING_ERROR + 1e-7,
        ))  # fmt: skip
    return comparisons(rows)


def _label(ratio: float) -> str:
    return "ImageNet" if np.isnan(ratio) else f"{100 * ratio:.0f} %"


def storage() -> pd.DataFrame:
    """Recompute section 1's storage from its own frames and frame size."""
    number, volume = published.numbers(), published.storage_bytes()
    size = f"{number['frame_width']:.0f} x {number['frame_height']:.0f} x {number['frame_channels']:.0f} B"
    rows = [
        (
            "storage of a day's frames", "section 1", number["storage_tb"], volume / 2**40, "TiB",
            f"{number['frames_per_day']:,.0f} frames x {size} = {volume / 1e15:.1f} PB = {volume / 2**40:,.0f} TiB; "
            f"printed is {number['storage_tb'] / (volume / 2**40):.0f} times as much",
        ),
        (
            "the same in exabytes", "section 1", number["storage_eb"], volume / 1e18, "EB",
            f"{volume / 1e18:.4f} EB; printed is {number['storage_tb']:,.0f} x 1024 / 10^9 = "
            f"{number['storage_tb'] * 1024 / 1e9:.2f}",
        ),
    ]  # fmt: skip
    return comparisons(rows)


def pair_counts() -> pd.DataFrame:
    """Recompute the number of comparisons that the pool needs without clusters (section 3.2)."""
    number = published.numbers()
    n = number["upstream_images"]
    ways = {"ordered": ("n^2", n**2), "unordered": ("n (n - 1) / 2", n * (n - 1) / 2)}
    rows = [
        (
            f"{name} pairs of the pool", "section 3.2", number["pairs"], count, "pairs",
            f"{text} with n = {n:,.0f} is {count:.3g}",
        )
        for name, (text, count) in ways.items()
    ]  # fmt: skip
    return comparisons(rows)


def computing_hours() -> pd.DataFrame:
    """Recompute section 1's hours; both agree, for a single pass over the frames."""
    number = published.numbers()
    hours, left = number["frames_per_day"] / number["throughput"] / 3600, 1 - number["core_share"]
    rows = [
        (
            "hours for one pass over a day's frames", "section 1", number["hours"], hours, "h",
            f"{number['frames_per_day']:,.0f} frames / {number['throughput']} images/s / 3600 = {hours:,.0f} h",
        ),
        (
            "hours that core data save", "section 1", number["hours_saved"], left * number["hours"], "h",
            f"{left:.0%} of {number['hours']:,.0f} h",
        ),
    ]  # fmt: skip
    return comparisons(rows)


def upstream_images() -> pd.DataFrame:
    """Compare the pool of Table 2 with the pre-training frames of Table 1."""
    frames, pool = published.table1().query("division == 'pretraining'").frames, published.numbers()["upstream_images"]
    text = f"{' + '.join(f'{count:,}' for count in frames)} = {frames.sum():,} frames"
    unexplained = f"{text}; {frames.sum() - pool:,.0f} are unexplained"
    where = "Table 1, Table 2"
    return comparisons([("images in the pre-training pool", where, pool, frames.sum(), "images", unexplained)])


def dataset_facts() -> pd.DataFrame:
    """Compare Table 1 with its own sums and with what the data sets' sources say."""
    table, sources = published.table1(), published.read("dataset_sources")
    of_videos = sources.quantity == "video_frames"
    videos = sources[of_videos].astype({"value": int})
    total = int(table.frames.sum())
    recorded = " and ".join(f"{row.dataset} ({row.value:,})" for row in videos.itertuples())
    rows: list[tuple[Any, ...]] = [(
        "DataDEL holds millions of samples", "abstract, Table 1", "millions", total, "frames",
        f"Table 1's frames add up to {total:,}; with the frames of the videos of {recorded} "
        f"there are {total + int(videos.value.sum()):,}",
        total >= 1_000_000,
    )]  # fmt: skip
    for source in sources[~of_videos].itertuples():
        here = table.set_index("dataset").loc[source.dataset]
        printed = here[source.quantity] if pd.isna(source.printed) else source.printed
        printed, value = (printed, source.value) if isinstance(printed, str) else (int(printed), int(source.value))
        claim, text = f"{source.dataset}: {source.quantity}", f"source: {source.source}"
        rows.append((claim, "Table 1", printed, value, source.unit, text, printed == value))
    names = table[table.division == "downstream"].dataset
    without = list(names[~names.isin(published.segmentation_sets())])
    rows.append((
        "every downstream set has a result", "Table 1, Table 3", len(names), len(names) - len(without), "sets",
        f"no result for {', '.join(without)}", not without,
    ))  # fmt: skip
    # A set and the sets that contain it share their sites: counting those once leaves an upper bound of the distinct.
    centres = table.dropna(subset="medical_centers")
    inside = centres[centres.dataset.isin(published.read("dataset_overlaps").part)]
    count, stated = int(centres.medical_centers.sum()), int(published.numbers()["centres"])
    distinct = count - int(inside.medical_centers.sum())
    rows.append((
        "distinct medical centres", "abstract, Table 1", stated, distinct, "centres",
        f"Table 1's column adds up to {count}; {', '.join(inside.dataset)} lie inside other sets of the table, "
        f"so that at most {distinct} are distinct",
        distinct == stated,
    ))  # fmt: skip
    return comparisons(rows)


def leakage() -> pd.DataFrame:
    """Count the downstream images that the pre-training pool contains, and how many of them a subset would keep.

    The expectation for a subset is that of a random draw of its size (Table 2).
    """
    overlaps = published.read("dataset_overlaps")
    whole_of = dict(zip(overlaps.part, overlaps.whole, strict=True))
    divisions = published.table1().set_index("dataset").division
    share = published.thresholds().set_index("ratio").exact_ratio.loc[0.05]
    rows = []
    for overlap in overlaps.itertuples():
        chain = [overlap.part]
        while chain[-1] in whole_of:
            chain.append(whole_of[chain[-1]])
        rows.append((
            f"{overlap.part} is unseen in pre-training", "Table 1", 0, overlap.images, "images",
            f"{overlap.part} lies in {', which lies in '.join(chain[1:])}, a {divisions[chain[-1]]} set; a random "
            f"subset of {share:.2%} would hold {overlap.images * share:.0f} of its {overlap.images:,} images",
            False,
        ))  # fmt: skip
    return comparisons(rows)
