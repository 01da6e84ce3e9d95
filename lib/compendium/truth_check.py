"""Check a selection against the truth that generated data come with: did it delete what it should (section 3.2)?

Of real images nobody knows which are near duplicates and which are disruptive; the generator knows it of its own. A
*repeat* is an image beyond the first of its group of near duplicates: a group of m images has m - 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from endosim import TRUTH_SCHEMA
from meddel.errors import MedDELError

TRUTH_FILE = "truth.parquet"
RARE = 0.05  # a class with less than this share of the images is rare


def read(folder: Path) -> pa.Table | None:
    """Return the truth about the data in `folder` (`endosim.TRUTH_SCHEMA`), or None if it has none."""
    path = folder / TRUTH_FILE
    if not path.is_file():
        return None
    try:
        return pq.read_table(path).select(TRUTH_SCHEMA.names).cast(TRUTH_SCHEMA)
    except (pa.ArrowException, KeyError) as error:
        raise MedDELError("this is no table of truth", path, "remove it, or generate the data again") from error


def describe(truth: pa.Table) -> pd.DataFrame:
    """Count what the generator put into every source, as shares of its images: repeats, and each kind of disruption."""
    table = truth.to_pandas()
    kinds = sorted(table.disruption.dropna().unique())
    rows = []
    for source, images in table.groupby("source", sort=True):
        groups = images.near_duplicate_group.nunique()
        shares = [float((images.disruption == kind).mean()) for kind in kinds]
        disruptive = float(images.disruption.notna().mean())
        head = (source, len(images), images.video.nunique(), groups, 1 - groups / len(images), disruptive)
        rows.append((*head, *shares))
    columns = ["source", "images", "videos", "near_duplicate_groups", "repeats", "disruptive"]
    return pd.DataFrame(rows, columns=[*columns, *kinds])


def check(selection: pa.Table, truth: pa.Table) -> dict[str, float]:
    """Return how well a selection did what MedDEL is for.

    Parameters
    ----------
    selection : pa.Table
        SELECTION of n images, all of them in the truth; at least one is kept.
    truth : pa.Table
        `endosim.TRUTH_SCHEMA`.

    Returns
    -------
    dict of float
        Fractions: *repeats_removed* and *disruptive_removed* of those among the n images (NaN where there were none);
        *repeats_kept* and *disruptive_kept* of the kept images; *groups*, *videos* and *centres* of which an image is
        kept.
    """
    table = joined(selection, truth)
    kept = table[table.kept]
    if kept.empty:
        raise MedDELError("the selection keeps nothing", fix="select at least one image")
    repeats, left = (len(part) - part.near_duplicate_group.nunique() for part in (table, kept))
    disruptive, passed = (int(part.disruption.notna().sum()) for part in (table, kept))
    coverage = {
        name: float(kept[column].nunique() / table[column].nunique())
        for name, column in (("groups", "near_duplicate_group"), ("videos", "video"), ("centres", "centre"))
    }
    return {
        "repeats_removed": 1 - left / repeats if repeats else np.nan,
        "disruptive_removed": 1 - passed / disruptive if disruptive else np.nan,
        "repeats_kept": left / len(kept),
        "disruptive_kept": passed / len(kept),
        **coverage,
    }


def compare(selections: Mapping[str, pa.Table | Sequence[pa.Table]], truth: pa.Table) -> pd.DataFrame:
    """Check one or several selections of each selector, a row each by rising ratio.

    Columns: selector, ratio, images (how many are kept), those of `check`, and rare_classes: of the rare classes, the
    share of which an image is kept. A class is what images without disruption show: source, polyp or none, instrument
    or none. It is rare if less than `RARE` of those images belong to it.
    """
    rows = []
    for name, given in selections.items():
        found = []
        for selection in [given] if isinstance(given, pa.Table) else given:
            known = joined(selection, truth)
            head = {"selector": name, "ratio": float(known.kept.mean()), "images": int(known.kept.sum())}
            found.append({**head, **check(selection, truth), "rare_classes": _rare_classes(known)})
        rows += sorted(found, key=lambda row: row["ratio"])
    return pd.DataFrame(rows)


def _rare_classes(known: pd.DataFrame) -> float:
    """Return the share of the rare classes of which an image is kept."""
    clear = known[known.disruption.isna()]
    classes = clear.groupby(["source", "has_polyp", "has_instrument"]).kept.agg(["size", "any"])
    return float(classes["any"][classes["size"] < RARE * len(clear)].mean())


def by_kind(selection: pa.Table, truth: pa.Table) -> pd.DataFrame:
    """Count how much a selection keeps of each kind of disruption, and of the images without (``none``)."""
    table = joined(selection, truth)
    groups = table.assign(disruption=table.disruption.fillna("none")).groupby("disruption").kept
    counts = groups.agg(images="size", kept="sum", kept_share="mean").reset_index()
    return counts.astype({"kept": int, "kept_share": float})


def joined(selection: pa.Table, truth: pa.Table) -> pd.DataFrame:
    """Return the truth about the images of a selection, in its row order, with the column ``kept`` (bool)."""
    table = selection.select(["id", "kept"]).to_pandas()
    known = table.merge(truth.to_pandas(), on="id", how="left", validate="one_to_one")
    missing = known.near_duplicate_group.isna()
    if missing.any():
        raise MedDELError("the truth does not know an image", known.id[missing].iloc[0], "generate the data again")
    return known
