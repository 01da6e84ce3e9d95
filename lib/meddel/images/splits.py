"""Split a downstream set into training, validation and test images.

The paper does not state its splits, and its figures follow the test set without a validation set (section 4.2). Here an
official split is followed where there is one; else whole videos (or patients) go to one part, and so do exact
duplicates, because a frame's neighbour in the training part would give the test away.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from meddel.errors import MedDELError

PARTS = ("train", "val", "test")
_TRIES = 64


def split(
    rows: pa.Table, seed: int | np.random.Generator, train: float = 0.8, val: float = 0.1, test: float = 0.1
) -> np.ndarray:
    """Return the part of every image of one set: str [n], each ``"train"``, ``"val"`` or ``"test"``.

    Parameters
    ----------
    rows : pa.Table
        The index rows of one set. Images of one `video` or of equal `sha256` are in one part. Where `split` is given it
        is followed; parts which it lacks are drawn from its training part and from images without a split.
    seed : int or Generator
    train, val, test : float
        Shares of the images, adding up to 1. Every part with a share above 0 gets an image.
    """
    shares = np.array([train, val, test], dtype=float)
    if not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-9:
        raise MedDELError(f"shares {train}, {val}, {test} don't add up to 1", fix="give shares such as 0.8, 0.1, 0.1")
    sources = rows["source"].unique().to_pylist()
    if len(sources) != 1:
        raise MedDELError(f"a split is of one set, not of {len(sources)}", fix="filter the index by source first")
    rng = np.random.default_rng(seed)
    groups = group(rows)
    parts = _official(rows, groups)
    free = np.isin(parts, ("", "train"))
    shares[[part in parts and part != "train" for part in PARTS]] = 0
    if not free.any() or not shares[1:].any():
        parts[parts == ""] = "train"
        return parts
    parts[free] = _draw(groups[free], shares / shares.sum(), rng, str(sources[0]))
    return parts


def group(rows: pa.Table) -> np.ndarray:
    """Return the group of every row (int32 [n]): rows which share a `video` or a `sha256`, directly or not, are one."""
    n = rows.num_rows
    links = []
    for name in ("video", "sha256"):
        values = rows[name].to_pylist()
        first: dict[str, int] = {}
        links += [(i, first.setdefault(value, i)) for i, value in enumerate(values) if value is not None]
    ends = np.array(links, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def _official(rows: pa.Table, groups: np.ndarray) -> np.ndarray:
    """Return the official parts, "" where there is none; a group's images without one follow its others."""
    parts = np.array([part or "" for part in rows["split"].to_pylist()], dtype="<U5")
    known = {int(groups[i]): parts[i] for i in np.flatnonzero(parts != "")}
    for i in np.flatnonzero(parts == ""):
        parts[i] = known.get(int(groups[i]), "")
    return parts


def _draw(groups: np.ndarray, shares: np.ndarray, rng: np.random.Generator, source: str) -> np.ndarray:
    """Cut shuffled groups into consecutive parts; of several shuffles take that nearest to the shares."""
    names, position, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    wanted = np.flatnonzero(shares)
    if len(names) < len(wanted):
        raise MedDELError(
            f"{len(names)} group(s) of images (videos, or images without one) can't fill {len(wanted)} parts",
            source,
            "add images or videos, or set the share of a part to 0",
        )
    best, least = np.zeros(len(names), dtype=int), np.inf
    for _ in range(_TRIES):
        order = rng.permutation(len(names))
        filled = np.cumsum(sizes[order])
        goals = np.cumsum(shares[wanted])[:-1] * filled[-1]
        upper = np.searchsorted(filled, goals)
        lower = np.maximum(upper - 1, 0)
        cuts = 1 + np.where(goals - filled[lower] < filled[upper] - goals, lower, upper)
        for k in range(len(cuts)):  # every part gets a group
            cuts[k] = np.clip(cuts[k], 1 + (cuts[k - 1] if k else 0), len(names) - len(cuts) + k)
        part_of_place = np.searchsorted(cuts, np.arange(len(names)), side="right")
        assigned = np.empty(len(names), dtype=int)
        assigned[order] = wanted[part_of_place]
        counts = np.bincount(assigned, weights=sizes, minlength=3)
        error = np.abs(counts - shares * filled[-1]).max()
        if error < least:
            best, least = assigned, error
        if least < 1:
            break
    return np.array(PARTS)[best[position]]
