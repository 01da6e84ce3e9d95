"""Hold a selection against the truth that generated data come with: did it remove what it set out to (section 3.2)?

Of real images nobody knows which are near duplicates and which are disruptive; of the generated ones the generator
does. A *repeat* is an image whose group of near duplicates another image stands for: a group of m images holds m - 1.
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
    """Return the truth about the data in `folder` (`endosim.TRUTH_SCHEMA`), or None if it has none.

    Raises
    ------
    MedDELError
        There is a file of that name that holds something else.
    """
    path = folder / TRUTH_FILE
    if not path.is_file():
        return None
    try:
        return pq.read_table(path).select(TRUTH_SCHEMA.names).cast(TRUTH_SCHEMA)
    except (pa.ArrowException, KeyError) as error:
        raise MedDELError("this is no table of truth", path, "remove it, or generate the data again") from error


def describe(truth: pa.Table) -> pd.DataFrame:
    """Count what the generator put into every source.

    Parameters
    ----------
    truth : pa.Table
        `endosim.TRUTH_SCHEMA`.

    Returns
    -------
    DataFrame
        One row per source: source, images, videos, near_duplicate_groups, repeats and disruptive (shares of the images,
        fractions), then one column per kind of disruption (fraction).
    """
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
    """Tell how well a selection did what MedDEL is for.

    Parameters
    ----------
    selection : pa.Table
        SELECTION of n images, all of them in the truth; at least one is kept.
    truth : pa.Table
        `endosim.TRUTH_SCHEMA`; images that were not to be selected from are passed over.

    Returns
    -------
    dict of float
        Fractions; NaN where there was nothing to remove. *repeats_removed*: of the repeats among the n images, the
        share that no longer is one. *disruptive_removed*: of the disruptive images. *repeats_kept*, *disruptive_kept*:
        share of the kept images that are one. *groups*, *videos*, *centres*: share of those of the n images of which an
        image stayed.

    Raises
    ------
    MedDELError
        An image is not in the truth, or nothing is kept.
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
    """Hold several selections against the truth, a row each.

    Parameters
    ----------
    selections : dictionary
        By the selector's name: its selection, or several of them, at any ratios.
    truth : pa.Table
        `endosim.TRUTH_SCHEMA`.

    Returns
    -------
    DataFrame
        selector, ratio (share of the images that is kept), images (how many), the columns of `check`, and rare_classes:
        of the rare classes, the share of which an image stayed (NaN where there is none). A class is what images
        without disruption show: source, polyp or none, instrument or none; it is rare if less than `RARE` of those
        images belong to it. In the order given, each selector's by rising ratio.

    Raises
    ------
    MedDELError
        As for `check`.
    """
    rows = []
    for name, given in selections.items():
        tables = [given] if isinstance(given, pa.Table) else list(given)
        found = []
        for selection in tables:
            known = joined(selection, truth)
            head = {"selector": name, "ratio": float(known.kept.mean()), "images": int(known.kept.sum())}
            found.append({**head, **check(selection, truth), "rare_classes": _rare_classes(known)})
        rows += sorted(found, key=lambda row: row["ratio"])
    return pd.DataFrame(rows)


def _rare_classes(known: pd.DataFrame) -> float:
    """Return the share of the rare classes of which an image stayed."""
    clear = known[known.disruption.isna()]
    classes = clear.groupby(["source", "has_polyp", "has_instrument"]).kept.agg(["size", "any"])
    return float(classes["any"][classes["size"] < RARE * len(clear)].mean())


def by_kind(selection: pa.Table, truth: pa.Table) -> pd.DataFrame:
    """Tell how much a selection keeps of each kind of disruption, and of the images without.

    Returns
    -------
    DataFrame
        disruption (``none`` for images without), images, kept (counts), kept_share (fraction of the kind's images).

    Raises
    ------
    MedDELError
        An image is not in the truth.
    """
    table = joined(selection, truth)
    groups = table.assign(disruption=table.disruption.fillna("none")).groupby("disruption").kept
    counts = groups.agg(images="size", kept="sum", kept_share="mean").reset_index()
    return counts.astype({"kept": int, "kept_share": float})


def joined(selection: pa.Table, truth: pa.Table) -> pd.DataFrame:
    """Return the truth about the images of a selection, in its row order, with the column ``kept`` (bool).

    Raises
    ------
    MedDELError
        An image is not in the truth.
    """
    table = selection.select(["id", "kept"]).to_pandas()
    known = table.merge(truth.to_pandas(), on="id", how="left", validate="one_to_one")
    missing = known.near_duplicate_group.isna()
    if missing.any():
        raise MedDELError("the truth does not know an image", known.id[missing].iloc[0], "generate the data again")
    return known
