"""Fig. 5: kept images beside their deleted neighbours (section 4.5), and how alike the pairs look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from matplotlib.figure import Figure
from torch.nn import functional

from compendium.figures import pictures, style
from compendium.figures.pictures import Picture
from meddel.errors import MedDELError

_REASONS = {"kept": style.BLUE, "duplicate": style.RED, "outlier": "#222222"}
_SIDE, _AT_ONCE = 16, 1024


def fig5(images: Sequence[np.ndarray], selection: pa.Table, groups: int = 3, neighbours: int = 5) -> Figure:
    """Draw the kept images that replace most others, each with some of those from the most to the least similar.

    `images` are in the selection's row order, such as `pictures.Pictures`; `groups` is the number of rows.
    """
    table = selection.to_pandas()
    if len(table) != len(images):
        raise MedDELError(f"{len(images)} images and {len(table)} selected rows", fix="give equal rows")
    place = dict(zip(table.id, range(len(table)), strict=True))
    gone = table[(table.reason == "duplicate") & table.partner.isin(table.id[table.kept])]
    if gone.empty:
        raise MedDELError("no image was deleted as a duplicate of a kept one", fix="lower the ratio")
    counts = gone.partner.value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable")
    rows, sentences = [], []
    for kept, count in counts.iloc[:groups].items():
        mine = gone[gone.partner == kept].sort_values(["cosine", "id"], ascending=[False, True])
        first = Picture(images[place[kept]], f"kept for {count:,}", style.BLUE)
        others = [
            Picture(images[place[row.id]], f"cosine {row.cosine:.3f}", style.RED)
            for row in mine.iloc[pictures.spread(len(mine), neighbours)].itertuples()
        ]
        rows.append(("", [first, *others]))
        sentences.append(f"{kept} for {count:,} with cosines {mine.cosine.max():.3f} to {mine.cosine.min():.3f}")
    return pictures.draw(
        rows, neighbours + 1, "Kept images (blue) and neighbours deleted for them (red)",
        f"Rows of pictures, a kept image and up to {neighbours} deleted neighbours: {'; '.join(sentences)}.",
    )  # fmt: skip


def cluster_pictures(
    images: Sequence[np.ndarray], selection: pa.Table, chosen: Sequence[int], columns: int = 8
) -> Figure:
    """Draw the clusters `chosen`, one a row, from the image nearest to the centroid to the farthest, evenly spaced."""
    table = selection.to_pandas()
    rows = []
    for cluster in chosen:
        mine = table[table.cluster == cluster].sort_values(["distance", "id"])
        label = f"cluster {cluster}\n{len(mine):,} images\n{mine.kept.sum():,} kept"
        rows.append((label, _by_distance(images, mine.iloc[pictures.spread(len(mine), columns)])))
    said = "; ".join(label.replace("\n", ", ") for label, _ in rows)
    message = "Clusters from centre to rim: kept (blue), duplicate (red), outlier (black)"
    return pictures.draw(rows, columns, message, f"Rows of pictures, a cluster each: {said}.")


def farthest_pictures(images: Sequence[np.ndarray], selection: pa.Table, eps: float, columns: int = 8) -> Figure:
    """Draw two rows of the images farthest from their centroids, which the eps filter is there to find."""
    table = selection.to_pandas().sort_values(["distance", "id"], ascending=[False, True])
    shown, beyond = table.iloc[: 2 * columns], int((table.distance > eps).sum())
    rows = [("", _by_distance(images, shown.iloc[start : start + columns])) for start in range(0, len(shown), columns)]
    return pictures.draw(
        rows, columns,
        f"Farthest from their centroids: {beyond:,} of {len(table):,} images are beyond eps = {eps:g} (black)",
        f"The images farthest from their centroids, at distances from {shown.distance.iloc[0]:.3f} to "
        f"{shown.distance.iloc[-1]:.3f}; {beyond:,} are beyond eps = {eps:g}.",
    )  # fmt: skip


def _by_distance(images: Sequence[np.ndarray], rows: pd.DataFrame) -> list[Picture]:
    return [
        Picture(images[row.Index], f"distance {row.distance:.2f}", _REASONS.get(row.reason, style.GREY))
        for row in rows.itertuples()
    ]


def duplicates(images: np.ndarray, selection: pa.Table, rng: np.random.Generator) -> pd.DataFrame:
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
        row, partner (positions), cosine, cluster, partner_kept (the rule is not greedy: a partner may be deleted
        itself), to_partner, to_random (`likeness`) and closer: 1 if the partner looks more alike than the image drawn,
        0.5 if both do equally, else 0. Its mean is 0.5 if partners are no better than chance.
    """
    table = selection.to_pandas()
    if len(images) != len(table):
        raise MedDELError(f"{len(images)} images and {len(table)} selected rows", fix="give equal rows")
    gone = table[table.reason == "duplicate"]
    if gone.empty:
        raise MedDELError("no image was deleted as a duplicate", fix="lower the ratio")
    kept, rows = table.kept.to_numpy(dtype=bool), gone.index.to_numpy()
    partner = pd.Series(range(len(table)), index=table.id)[gone.partner].to_numpy()
    found = pd.DataFrame({"row": rows, "partner": partner, "cosine": gone.cosine.array, "cluster": gone.cluster.array})
    found["partner_kept"] = kept[partner]
    found["to_partner"] = likeness(images, rows, partner)
    found["to_random"] = likeness(images, rows, rng.choice(np.flatnonzero(kept), len(rows)))
    found["closer"] = (1 + np.sign(found.to_partner - found.to_random)) / 2
    return found


def likeness(images: np.ndarray, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return how alike pairs of images look without any encoder: the correlation of their 16 x 16 grey pictures.

    `rows` and `others` are positions in `images`, uint8 [n, s, s, 3]. A picture of one grey correlates with none.
    """
    used, place = np.unique(np.concatenate([rows, others]), return_inverse=True)
    parts = [used[start : start + _AT_ONCE] for start in range(0, len(used), _AT_ONCE)]
    small = np.concatenate([_thumbnails(images[part]) for part in parts])
    small = small - small.mean(axis=1, keepdims=True)
    length = np.linalg.norm(small, axis=1, keepdims=True)
    unit = np.divide(small, length, out=np.zeros_like(small), where=length > 1e-6)
    return np.einsum("ij,ij->i", unit[place[: len(rows)]], unit[place[len(rows) :]])


def _thumbnails(images: np.ndarray) -> np.ndarray:
    grey = torch.from_numpy(images.mean(axis=-1))
    return functional.adaptive_avg_pool2d(grey[:, None], _SIDE).flatten(1).numpy()


def clusters(selection: pa.Table) -> pd.DataFrame:
    """Count what became of each cluster's images: cluster, images, outliers, kept, redundancy; most redundant first.

    Redundancy is the mean over the images of the greatest cosine to an earlier one.
    """
    table = selection.to_pandas()
    groups = table.assign(outlier=table.reason == "outlier").groupby("cluster")
    counted = groups.agg(
        images=("id", "size"), outliers=("outlier", "sum"), kept=("kept", "sum"), redundancy=("cosine", "mean")
    )
    return counted.sort_values("redundancy", ascending=False, kind="stable").reset_index()
