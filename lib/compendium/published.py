"""The numbers that the paper prints: its tables and figures as data frames, and the arithmetic that they allow.

The numbers are in ``data_manifests/paper``; nothing here is typed that can be computed from them. Quality (mIoU,
NormDEL) and retention ratios are fractions, whatever the unit in the paper. Fig. 3 and Fig. 4 were read off vector
figures: their last digit is uncertain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from meddel import manifests
from meddel.normdel import normdel

COMPARISON_COLUMNS = ["claim", "where", "printed", "recomputed", "unit", "arithmetic", "agrees"]


def read(name: str) -> pd.DataFrame:
    """Return ``data_manifests/paper/<name>.csv`` with every ``<x>_percent`` column as the fraction ``<x>``."""
    table = pd.read_csv(manifests.path(f"paper/{name}.csv"), dtype={"section": str})
    for column in [column for column in table if column.endswith("_percent")]:
        # Rounded because 79.38 / 100 is not the float nearest to 0.7938.
        table[column] = (table[column] / 100).round(6)
    return table.rename(columns=lambda column: column.removesuffix("_percent"))


def printed() -> pd.DataFrame:
    """Return the single numbers of the text (sections 1, 3 and 4.1): key, value, unit, section, meaning."""
    return read("printed")


def numbers() -> dict[str, float]:
    """Return the single numbers of the text by key, such as ``frames_per_day``."""
    return printed().set_index("key").value.to_dict()


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
    """Return Table 2 with exact_ratio (of the images at eta 1) and images_seen (kept x epochs)."""
    table = table2()
    table["exact_ratio"] = table.images_kept / table.images_kept.max()
    table["images_seen"] = table.images_kept * table.pretraining_epochs
    return table


def normdel_cells(alpha: float = 1.0) -> pd.DataFrame:
    """Return Table 3 with NormDEL recomputed from the printed mIoU, and its deviation in percentage points."""
    table = table3()
    table["recomputed"] = normdel(table.miou, table.ratio, alpha)
    table["deviation"] = 100 * (table.recomputed - table.normdel)
    return table


def mean_miou() -> pd.DataFrame:
    """Return Table 3's mean over the sets at each ratio: ratio, mean_miou, sets_above_all, sets_barely_above.

    The last two count the sets that lead all images, and those among them that lead by less than 0.3 points.
    """
    wide = table3().pivot(index="ratio", columns="dataset", values="miou")
    lead = (wide - wide.loc[1.0]).round(6)
    above = {"sets_above_all": lead > 0, "sets_barely_above": (lead > 0) & (lead < 0.003)}
    counts = {name: sets.sum(axis=1) for name, sets in above.items()}
    return pd.DataFrame({"mean_miou": wide.mean(axis=1), **counts}).reset_index()


def generalisation_means() -> pd.DataFrame:
    """Return Fig. 6's mean over the pairs of different sets: selector, ratio, mean_miou (fraction), pairs."""
    table = fig6()
    other = table[table.train_dataset != table.test_dataset]
    means = other.groupby(["ratio", "selector"], sort=True).miou.agg(mean_miou="mean", pairs="size").reset_index()
    return means[["selector", "ratio", "mean_miou", "pairs"]]


def meddel_leads() -> dict[float, float]:
    """Return MedDEL's lead over random selection in Fig. 6 by ratio (fractions): what a verdict has to look for."""
    means = generalisation_means().pivot(index="ratio", columns="selector", values="mean_miou")
    return (means.meddel - means.random).dropna().to_dict()


def pretraining_time() -> pd.DataFrame:
    """Return what Table 4 says of shorter pre-training, per set and ratio.

    The columns are dataset, ratio, epochs_first, epochs_last, gain (mIoU at the most epochs minus at the fewest),
    spread (greatest minus least mIoU) and compute_share (fewest epochs over most).
    """
    groups = table4().sort_values("pretraining_epochs").groupby(["dataset", "ratio"], sort=False)
    epochs = groups.pretraining_epochs.agg(epochs_first="first", epochs_last="last")
    table = epochs.assign(
        gain=(groups.miou.last() - groups.miou.first()).round(6),
        spread=(groups.miou.max() - groups.miou.min()).round(6),
        compute_share=epochs.epochs_first / epochs.epochs_last,
    )
    return table.reset_index()


def curve_quartiles() -> pd.DataFrame:
    """Return the quartiles of Fig. 3's last epochs: dataset, ratio, epochs, q1, median, q3.

    Fig. 4's boxes hold the last 200 epochs of the curves of about 500 epochs, and the last 100 of the others.
    """
    rows = []
    for (dataset, ratio), curve in fig3().groupby(["dataset", "ratio"], sort=True):
        epochs = 200 if curve.epoch.max() > 400 else 100
        tail = curve.miou[curve.epoch > curve.epoch.max() - epochs]
        rows.append((dataset, ratio, epochs, *tail.quantile([0.25, 0.5, 0.75])))
    return pd.DataFrame(rows, columns=["dataset", "ratio", "epochs", "q1", "median", "q3"])


def comparisons(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Return printed values beside the same values computed from other ones: `COMPARISON_COLUMNS`.

    A row without its last entry holds two numbers, which agree if they differ by at most 0.5 % of the second.
    """
    rows = [row if len(row) == 7 else (*row, abs(row[2] - row[3]) <= 0.005 * abs(row[3])) for row in rows]
    # Numbers and words share a column: as objects, whole numbers are not turned into floats for display.
    columns = {name: np.array([row[place] for row in rows], object) for place, name in enumerate(COMPARISON_COLUMNS)}
    return pd.DataFrame(columns).astype({"agrees": bool})


def storage_bytes() -> float:
    """Return the bytes of a day's frames without compression, from section 1's frames and frame size."""
    number = numbers()
    return number["frames_per_day"] * number["frame_width"] * number["frame_height"] * number["frame_channels"]
