"""What the paper prints: its tables and figures as data frames, and the arithmetic that they allow.

The numbers lie in ``data_manifests/paper``; nothing here is typed that can be computed from them. Quality (mIoU,
NormDEL) and retention ratios are fractions, whatever the unit in the paper. Fig. 3 and Fig. 4 were read off vector
figures: their last digit is uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from meddel import manifests
from meddel.normdel import normdel

COMPARISON_COLUMNS = ["claim", "where", "printed", "recomputed", "unit", "arithmetic", "agrees"]


@dataclass(frozen=True)
class Printed:
    """One number that the paper prints: its value, unit, section and meaning."""

    value: float
    unit: str
    section: str
    meaning: str


@dataclass(frozen=True)
class Comparison:
    """A printed value beside the same value computed from other printed values.

    `printed` and `recomputed` are in `unit`; `arithmetic` says in text how the second was found.
    """

    claim: str
    where: str
    printed: float | str
    recomputed: float | str
    unit: str
    arithmetic: str
    agrees: bool

    @classmethod
    def of_numbers(
        cls, claim: str, where: str, printed: float, recomputed: float, unit: str, arithmetic: str, rel: float = 0.005
    ) -> Comparison:
        """Compare two numbers, which agree if they differ by at most the share `rel` of the recomputed one."""
        agrees = abs(printed - recomputed) <= rel * abs(recomputed)
        return cls(claim, where, printed, recomputed, unit, arithmetic, agrees)


def comparisons(rows: list[Comparison]) -> pd.DataFrame:
    """Return the rows as a table with the columns `COMPARISON_COLUMNS`; ``printed`` and ``recomputed`` hold objects."""
    table = pd.DataFrame([vars(row) for row in rows], columns=COMPARISON_COLUMNS)
    # Numbers and words share a column: as objects, whole numbers are not turned into floats for display.
    return table.astype({"printed": object, "recomputed": object, "agrees": bool})


def read(name: str) -> pd.DataFrame:
    """Return ``data_manifests/paper/<name>.csv`` with every ``<x>_percent`` column as the fraction ``<x>``."""
    table = pd.read_csv(manifests.path(f"paper/{name}.csv"))
    for column in [column for column in table if column.endswith("_percent")]:
        # Rounded because 79.38 / 100 is not the float nearest to 0.7938.
        table[column] = (table[column] / 100).round(6)
    return table.rename(columns=lambda column: column.removesuffix("_percent"))


def printed() -> dict[str, Printed]:
    """Return the single numbers of the text by key, such as ``frames_per_day`` (sections 1, 3 and 4.1)."""
    rows = pd.read_csv(manifests.path("paper/printed.csv"), dtype={"section": str})
    return {row.key: Printed(row.value, row.unit, row.section, row.meaning) for row in rows.itertuples()}


def table1() -> pd.DataFrame:
    """Return Table 1, DataDEL's sets: division, dataset, task, medical_centers, videos, frames, disease."""
    return read("table1_datadel").astype({"medical_centers": "Int64", "videos": "Int64"})


def table2() -> pd.DataFrame:
    """Return Table 2: eta (cosine), images_kept, ratio, pretraining_epochs."""
    return read("table2_thresholds")


def table3() -> pd.DataFrame:
    """Return Table 3: dataset, ratio, miou, normdel for 8 sets and 6 ratios."""
    return read("table3_miou_normdel")


def segmentation_sets() -> list[str]:
    """Return the eight sets that have a result, in Table 3's order."""
    return list(table3().dataset.unique())


def table4() -> pd.DataFrame:
    """Return Table 4: dataset, ratio, pretraining_epochs, miou."""
    return read("table4_pretraining_time")


def fig3() -> pd.DataFrame:
    """Return Fig. 3's curves: dataset, ratio (0.05 or 1), fine-tuning epoch, test miou."""
    return read("fig3_curves")


def fig4() -> pd.DataFrame:
    """Return Fig. 4's boxes: dataset, pretraining_data, ratio (NaN for ImageNet), whisker_low ... whisker_high."""
    return read("fig4_boxes")


def fig6() -> pd.DataFrame:
    """Return Fig. 6: selector ("random", "meddel" or "all"), ratio, train_dataset, test_dataset, miou (2 decimals)."""
    return read("fig6_generalisation")


def thresholds() -> pd.DataFrame:
    """Return Table 2 with what it implies: the exact ratio and the number of images seen.

    Returns
    -------
    DataFrame
        Table 2's columns, ``exact_ratio`` (fraction of the images at eta 1) and ``images_seen`` (kept x epochs).
    """
    table = table2()
    table["exact_ratio"] = table.images_kept / table.images_kept.max()
    table["images_seen"] = table.images_kept * table.pretraining_epochs
    return table


def normdel_cells(alpha: float = 1.0) -> pd.DataFrame:
    """Return Table 3 with every NormDEL computed from the printed mIoU (Eq. 4-5).

    Returns
    -------
    DataFrame
        Table 3's columns, ``recomputed`` (fraction) and ``deviation`` (recomputed minus printed, percentage points).
    """
    table = table3()
    table["recomputed"] = normdel(table.miou, table.ratio, alpha)
    table["deviation"] = 100 * (table.recomputed - table.normdel)
    return table


def mean_miou() -> pd.DataFrame:
    """Return Table 3's mean over the sets at each ratio, and how it stands to all data.

    Returns
    -------
    DataFrame
        ratio, mean_miou (fraction), sets_above_all (how many sets have a higher mIoU than at ratio 1), and
        sets_barely_above (those among them that lead by less than 0.3 percentage points).
    """
    wide = table3().pivot(index="ratio", columns="dataset", values="miou")
    lead = (wide - wide.loc[1.0]).round(6)
    columns = {
        "mean_miou": wide.mean(axis=1),
        "sets_above_all": (lead > 0).sum(axis=1),
        "sets_barely_above": ((lead > 0) & (lead < 0.003)).sum(axis=1),
    }
    return pd.DataFrame(columns).reset_index()


def generalisation_means() -> pd.DataFrame:
    """Return Fig. 6's mean over the pairs of different sets: selector, ratio, mean_miou (fraction), pairs."""
    table = fig6()
    other = table[table.train_dataset != table.test_dataset]
    means = other.groupby(["ratio", "selector"], sort=True).miou.agg(mean_miou="mean", pairs="size").reset_index()
    return means[["selector", "ratio", "mean_miou", "pairs"]]


def pretraining_time() -> pd.DataFrame:
    """Return what Table 4 says of shorter pre-training, per set and ratio.

    Returns
    -------
    DataFrame
        dataset, ratio, epochs_first, epochs_last, gain (mIoU at the most epochs minus at the fewest, fraction),
        spread (greatest minus least mIoU) and compute_share (images seen at the fewest epochs over those at the most).
    """
    groups = table4().sort_values("pretraining_epochs").groupby(["dataset", "ratio"], sort=False)
    table = groups.agg(
        epochs_first=("pretraining_epochs", "first"),
        epochs_last=("pretraining_epochs", "last"),
        first=("miou", "first"),
        last=("miou", "last"),
        least=("miou", "min"),
        greatest=("miou", "max"),
    ).reset_index()
    table["gain"] = (table["last"] - table["first"]).round(6)
    table["spread"] = (table.greatest - table.least).round(6)
    table["compute_share"] = table.epochs_first / table.epochs_last
    return table.drop(columns=["first", "last", "least", "greatest"])


def curve_quartiles() -> pd.DataFrame:
    """Return the quartiles of Fig. 3's last epochs, which is what Fig. 4's boxes hold.

    The last 200 epochs of the curves of about 500 epochs, the last 100 of the others.

    Returns
    -------
    DataFrame
        dataset, ratio, epochs (how many), q1, median, q3 (fractions).
    """
    rows = []
    for (dataset, ratio), curve in fig3().groupby(["dataset", "ratio"], sort=True):
        epochs = 200 if curve.epoch.max() > 400 else 100
        tail = curve.miou[curve.epoch > curve.epoch.max() - epochs]
        rows.append((dataset, ratio, epochs, *tail.quantile([0.25, 0.5, 0.75])))
    return pd.DataFrame(rows, columns=["dataset", "ratio", "epochs", "q1", "median", "q3"])


def storage_bytes() -> float:
    """Return the bytes of a day's frames without compression, from section 1's frames and frame size."""
    values = {key: number.value for key, number in printed().items()}
    return values["frames_per_day"] * values["frame_width"] * values["frame_height"] * values["frame_channels"]


def introduction() -> pd.DataFrame:
    """Return section 1's arithmetic on storage and computing time, as rows of `COMPARISON_COLUMNS`."""
    number = {key: entry.value for key, entry in printed().items()}
    volume = storage_bytes()
    frames = f"{number['frames_per_day']:,.0f} frames"
    size = f"{number['frame_width']:.0f} x {number['frame_height']:.0f} x {number['frame_channels']:.0f} B"
    hours = number["frames_per_day"] / number["throughput"] / 3600
    rows = [
        Comparison.of_numbers(
            "storage of a day's frames", "section 1", number["storage_tb"], volume / 2**40, "TiB",
            f"{frames} x {size} = {volume / 1e15:.1f} PB = {volume / 2**40:,.0f} TiB; "
            f"printed is {number['storage_tb'] / (volume / 2**40):.0f} times as much",
        ),
        Comparison.of_numbers(
            "the same in exabytes", "section 1", number["storage_eb"], volume / 1e18, "EB",
            f"{volume / 1e18:.4f} EB; printed is {number['storage_tb']:,.0f} x 1024 / 10^9 = "
            f"{number['storage_tb'] * 1024 / 1e9:.2f}",
        ),
        Comparison.of_numbers(
            "hours for one pass over a day's frames", "section 1", number["hours"], hours, "h",
            f"{frames} / {number['throughput']} images/s / 3600 = {hours:,.0f} h",
        ),
        Comparison.of_numbers(
            "hours that core data save", "section 1", number["hours_saved"],
            (1 - number["core_share"]) * number["hours"], "h",
            f"{1 - number['core_share']:.0%} of {number['hours']:,.0f} h",
        ),
    ]  # fmt: skip
    return comparisons(rows)


def pair_counts() -> pd.DataFrame:
    """Return how many comparisons the pool needs without clusters (section 3.2), as rows of `COMPARISON_COLUMNS`."""
    number = printed()
    n, pairs = number["upstream_images"].value, number["pairs"].value
    rows = [
        Comparison.of_numbers(name, "section 3.2", pairs, count, "pairs", f"{text} with n = {n:,.0f} is {count:.3g}")
        for name, count, text in (
            ("ordered pairs of the pool", n**2, "n^2"),
            ("unordered pairs of the pool", n * (n - 1) / 2, "n (n - 1) / 2"),
        )
    ]
    return comparisons(rows)
