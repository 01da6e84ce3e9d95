"""What MedDEL deleted and for what (section 4.5): pairs of images, how alike they look, and how full clusters are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch.nn import functional

from meddel.errors import MedDELError
from meddel.images import pixels

_SIDE, _AT_ONCE = 16, 1024


@dataclass(frozen=True)
class Pictures:
    """The images of an index as squares, each read from its file when it is asked for: for figures of a few.

    Attributes
    ----------
    index : pa.Table
        INDEX, n rows.
    size : int
        Pixels per side.
    """

    index: pa.Table
    size: int = 192

    def __len__(self) -> int:
        return self.index.num_rows

    def __getitem__(self, row: int) -> np.ndarray:
        """Return one image: uint8 [size, size, 3], RGB. A file that is gone or has changed is a `MedDELError`."""
        path, sha256 = (self.index[name][int(row)].as_py() for name in ("path", "sha256"))
        return pixels.square(Path(path), sha256, self.size)


def pairs(selection: pa.Table) -> pd.DataFrame:
    """Return the images that were deleted as duplicates, each with the image that it is a duplicate of.

    Parameters
    ----------
    selection : pa.Table
        SELECTION of n rows (`meddel.select.SELECTION_SCHEMA`).

    Returns
    -------
    DataFrame
        row, partner (positions in the selection), cosine, cluster, partner_kept. As the rule is not greedy, a partner
        may be deleted itself.
    """
    table = selection.to_pandas()
    place = pd.Series(range(len(table)), index=table.id)
    gone = table[table.reason == "duplicate"]
    partner = place[gone.partner].to_numpy()
    return pd.DataFrame(
        {
            "row": gone.index.to_numpy(),
            "partner": partner,
            "cosine": gone.cosine.to_numpy(),
            "cluster": gone.cluster.to_numpy(),
            "partner_kept": table.kept.to_numpy(dtype=bool)[partner],
        }
    )


def likeness(images: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Tell how alike pairs of images look, without any encoder: the correlation of their small grey pictures.

    Parameters
    ----------
    images : ndarray of uint8 [n, s, s, 3]
        s is at least 16; a memory map will do.
    rows, others : ndarray of int [m]
        Positions of the two images of each pair.

    Returns
    -------
    ndarray of float64 [m]
        Pearson's correlation of the 16 x 16 means of the grey values: 1 for equal pictures, about 0 for unrelated
        ones. It is 0 where a picture is of one grey.
    """
    used, place = np.unique(np.concatenate([rows, others]), return_inverse=True)
    parts = [used[start : start + _AT_ONCE] for start in range(0, len(used), _AT_ONCE)]
    small = np.concatenate([_thumbnails(images[part]) for part in parts])
    small = small - small.mean(axis=1, keepdims=True)
    length = np.linalg.norm(small, axis=1, keepdims=True)
    unit = np.divide(small, length, out=np.zeros_like(small), where=length > 1e-6)
    return np.einsum("ij,ij->i", unit[place[: len(rows)]], unit[place[len(rows) :]])


def against_chance(images: np.ndarray, selection: pa.Table, rng: np.random.Generator) -> pd.DataFrame:
    """Set how alike each deleted image and its partner look beside a kept image drawn at random.

    Parameters
    ----------
    images : ndarray of uint8 [n, s, s, 3]
        In the selection's row order.
    selection : pa.Table
        SELECTION of n rows.
    rng : numpy.random.Generator
        Draws the kept images.

    Returns
    -------
    DataFrame
        `pairs` with to_partner and to_random (`likeness`), and closer: 1 if the partner looks more alike than the
        kept image drawn, 0.5 if both do equally, else 0. The mean of closer is 0.5 if partners are no better than
        chance.

    Raises
    ------
    MedDELError
        The numbers of rows differ, or nothing was deleted as a duplicate.
    """
    if len(images) != selection.num_rows:
        raise MedDELError(f"{len(images)} images and {selection.num_rows} selected rows", fix="give equal rows")
    table = pairs(selection)
    if table.empty:
        raise MedDELError("no image was deleted as a duplicate", fix="lower the ratio")
    kept = np.flatnonzero(selection["kept"].to_numpy())
    drawn = rng.choice(kept, len(table))
    table["to_partner"] = likeness(images, table.row.to_numpy(), table.partner.to_numpy())
    table["to_random"] = likeness(images, table.row.to_numpy(), drawn)
    table["closer"] = (1 + np.sign(table.to_partner - table.to_random)) / 2
    return table


def clusters(selection: pa.Table) -> pd.DataFrame:
    """Count, for every cluster, what became of its images.

    Parameters
    ----------
    selection : pa.Table
        SELECTION with clusters.

    Returns
    -------
    DataFrame
        cluster, images, outliers, kept, redundancy: the mean over its images of the greatest cosine to an earlier one
        (NaN for a cluster in which no pair was compared); from the most redundant to the least.
    """
    groups = selection.to_pandas().groupby("cluster")
    table = groups.agg(
        images=("id", "size"),
        outliers=("reason", lambda reason: int((reason == "outlier").sum())),
        kept=("kept", "sum"),
        redundancy=("cosine", "mean"),
    )
    return table.sort_values("redundancy", ascending=False, kind="stable").reset_index()


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """Mean grey values: uint8 [b, s, s, 3] to float64 [b, 256]."""
    grey = torch.from_numpy(images.mean(axis=-1))
    return functional.adaptive_avg_pool2d(grey[:, None], _SIDE).flatten(1).numpy()
