"""Where the paper's numbers don't agree with each other or with the data sets' own sources, with the arithmetic.

Each function returns rows of `published.COMPARISON_COLUMNS`. ``agrees`` says whether the two values agree, not which of
them is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from compendium import published
from compendium.published import Comparison, comparisons
from meddel import manifests

_MARKS = ["whisker_low", "q1", "median", "q3", "whisker_high"]
_READING_ERROR = 0.0003
"""How far two values read off the vector figures may lie apart and still be the same (fraction of mIoU)."""


def repeated_boxes() -> pd.DataFrame:
    """Compare Fig. 4(e), PolypGen2021, with Fig. 4(f), CVC-300, box by box, and with its own curves in Fig. 3.

    A box counts as repeated if at least three of its five marks lie at one and the same shift.
    """
    boxes = published.fig4()
    boxes["label"] = [_label(ratio) for ratio in boxes.ratio]
    wide = boxes.set_index(["dataset", "label"])[_MARKS]
    rows = []
    for label, marks in wide.loc["PolypGen2021"].iterrows():
        other = wide.loc[("CVC-300", label)]
        shift = (100 * (marks - other)).round(2)
        usual = float(shift.median())
        same = int((abs(shift - usual) <= 100 * _READING_ERROR).sum())
        rows.append(
            Comparison(
                f"PolypGen2021's box at {label} is its own", "Fig. 4(e), Fig. 4(f)",
                round(100 * marks["median"], 2), round(100 * other["median"], 2), "% mIoU, median",
                f"{same} of 5 marks lie {usual:.2f} points above CVC-300's "
                f"(all: {', '.join(f'{value:.2f}' for value in shift)})",
                same < 3,
            )
        )  # fmt: skip
    curves = _boxes_and_curves()
    return pd.concat([comparisons(rows), _box_rows(curves[curves.dataset == "PolypGen2021"])], ignore_index=True)


def shifted_box() -> pd.DataFrame:
    """Compare Fig. 4's boxes with the quartiles of Fig. 3's curves, and what each says of CVC-300 at 5 % and 100 %.

    PolypGen2021 is left out: its boxes are those of `repeated_boxes`.
    """
    pairs = _boxes_and_curves()
    pairs = pairs[pairs.dataset != "PolypGen2021"]
    cvc = pairs[pairs.dataset == "CVC-300"].set_index("ratio")
    box, curve = (100 * (cvc[name][0.05] - cvc[name][1.0]) for name in ("median_box", "median_curve"))
    order = Comparison(
        "CVC-300: 5 % is above 100 %", "Fig. 3(CVC-300), Fig. 4(f)", round(box, 2), round(curve, 2), "points of mIoU",
        f"median at 5 % minus median at 100 %: {box:+.2f} in Fig. 4, {curve:+.2f} in Fig. 3", bool(box * curve > 0),
    )  # fmt: skip
    return pd.concat([_box_rows(pairs), comparisons([order])], ignore_index=True)


def storage() -> pd.DataFrame:
    """Recompute section 1's storage from its own frames and frame size."""
    return published.introduction().query("unit != 'h'").reset_index(drop=True)


def pair_counts() -> pd.DataFrame:
    """Recompute the number of comparisons that a pool needs without clusters (section 3.2)."""
    return published.pair_counts()


def computing_hours() -> pd.DataFrame:
    """Recompute section 1's hours; both agree, for a single pass over the frames."""
    return published.introduction().query("unit == 'h'").reset_index(drop=True)


def upstream_images() -> pd.DataFrame:
    """Compare the pool of Table 2 with the pre-training frames of Table 1."""
    table = published.table1().query("division == 'pretraining'")
    terms = " + ".join(f"{frames:,}" for frames in table.frames)
    pool = published.printed()["upstream_images"].value
    row = Comparison.of_numbers(
        "images in the pre-training pool", "Table 1, Table 2", pool, table.frames.sum(), "images",
        f"{terms} = {table.frames.sum():,} frames; {table.frames.sum() - pool:,.0f} are unexplained",
    )  # fmt: skip
    return comparisons([row])


def dataset_facts() -> pd.DataFrame:
    """Compare Table 1 with its own sums and with what the data sets' sources say."""
    table = published.table1()
    sources = pd.read_csv(manifests.path("paper/dataset_sources.csv"))
    videos = sources[sources.quantity == "video_frames"].astype({"value": int})
    total, in_videos = int(table.frames.sum()), int(videos.value.sum())
    rows = [
        Comparison(
            "DataDEL holds millions of samples", "abstract, Table 1", "millions", total, "frames",
            f"Table 1's frames add up to {total:,}; with the frames of the videos of "
            f"{' and '.join(f'{video.dataset} ({video.value:,})' for video in videos.itertuples())} "
            f"there are {total + in_videos:,}",
            total >= 1_000_000,
        )
    ]  # fmt: skip
    rows += [_source_row(table, source) for source in sources.itertuples() if source.quantity != "video_frames"]
    names = table[table.division == "downstream"].dataset
    without = list(names[~names.isin(published.segmentation_sets())])
    rows.append(
        Comparison(
            "every downstream set has a result", "Table 1, Table 3", len(names), len(names) - len(without), "sets",
            f"no result for {', '.join(without)}", not without,
        )
    )  # fmt: skip
    rows.append(_centres_row(table))
    return comparisons(rows)


def leakage() -> pd.DataFrame:
    """Count the downstream images that the pre-training pool contains, and how many of them a subset would keep.

    The expectation for a subset is that of a random draw of its size (Table 2).
    """
    overlaps = pd.read_csv(manifests.path("paper/dataset_overlaps.csv"))
    whole_of = dict(zip(overlaps.part, overlaps.whole, strict=True))
    divisions = published.table1().set_index("dataset").division
    ratios = published.thresholds().set_index("ratio").exact_ratio
    rows = []
    for overlap in overlaps.itertuples():
        chain = [overlap.part]
        while chain[-1] in whole_of:
            chain.append(whole_of[chain[-1]])
        expected = overlap.images * ratios.loc[0.05]
        rows.append(
            Comparison(
                f"{overlap.part} is unseen in pre-training", "Table 1", 0, overlap.images, "images",
                f"{overlap.part} lies in {', which lies in '.join(chain[1:])}, a {divisions[chain[-1]]} set; "
                f"a random subset of {ratios.loc[0.05]:.2%} would hold {expected:.0f} of its {overlap.images:,} images",
                False,
            )
        )  # fmt: skip
    return comparisons(rows)


CONTRADICTIONS: dict[int, tuple[str, Callable[[], pd.DataFrame]]] = {
    1: ("One figure's boxes appear under two data sets", repeated_boxes),
    2: ("CVC-300 at 5 % differs between two figures", shifted_box),
    3: ("Storage of a day's frames", storage),
    4: ("Number of comparisons", pair_counts),
    5: ("Computing hours", computing_hours),
    6: ("Size of the pre-training pool", upstream_images),
    7: ("Facts on the data sets", dataset_facts),
    8: ("Test images inside the pre-training pool", leakage),
}
"""Number, title and function of each check, in the order of the report."""


def all_contradictions() -> pd.DataFrame:
    """Return the rows of all checks, preceded by the columns ``number`` and ``title``."""
    tables = []
    for number, (title, function) in CONTRADICTIONS.items():
        table = function()
        table.insert(0, "title", title)
        table.insert(0, "number", number)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _label(ratio: float) -> str:
    return "ImageNet" if np.isnan(ratio) else f"{100 * ratio:.0f} %"


def _boxes_and_curves() -> pd.DataFrame:
    boxes = published.fig4()[["dataset", "ratio", "q1", "median", "q3"]]
    return published.curve_quartiles().merge(boxes, on=["dataset", "ratio"], suffixes=("_curve", "_box"))


def _box_rows(pairs: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for pair in pairs.to_dict("records"):
        shifts = [100 * (pair[f"{mark}_box"] - pair[f"{mark}_curve"]) for mark in ("q1", "median", "q3")]
        rows.append(
            Comparison(
                f"{pair['dataset']} at {_label(pair['ratio'])}: the box holds its curve's quartiles", "Fig. 3, Fig. 4",
                round(100 * pair["median_box"], 2), round(100 * pair["median_curve"], 2), "% mIoU, median",
                f"box minus the quartiles of the last {pair['epochs']} epochs: "
                f"{', '.join(f'{shift:+.2f}' for shift in shifts)} points",
                max(map(abs, shifts)) <= 100 * _READING_ERROR + 1e-9,
            )
        )  # fmt: skip
    return comparisons(rows)


def _source_row(table: pd.DataFrame, source: Any) -> Comparison:
    here = table.set_index("dataset").loc[source.dataset]
    printed = here[source.quantity] if pd.isna(source.printed) else source.printed
    value = source.value
    if not isinstance(printed, str):
        printed, value = int(printed), int(value)
    return Comparison(
        f"{source.dataset}: {source.quantity}", "Table 1", printed, value, source.unit, f"source: {source.source}",
        printed == value,
    )  # fmt: skip


def _centres_row(table: pd.DataFrame) -> Comparison:
    centres = table.dropna(subset="medical_centers")
    total = int(centres.medical_centers.sum())
    # A set and the sets that contain it share their sites: counting those once leaves an upper bound of the distinct.
    overlaps = pd.read_csv(manifests.path("paper/dataset_overlaps.csv"))
    repeated = centres[centres.dataset.isin(overlaps.part)]
    distinct = total - int(repeated.medical_centers.sum())
    return Comparison(
        "distinct medical centres", "abstract, Table 1", int(published.printed()["centres"].value), distinct, "centres",
        f"Table 1's column adds up to {total}; {', '.join(repeated.dataset)} lie inside other sets of the table, "
        f"so that at most {distinct} are distinct",
        distinct == published.printed()["centres"].value,
    )  # fmt: skip
