"""MedDEL's ranking at any eps and keep from one pass, as `meddel.select.ranking` has it at any eta from one pass.

With eps, the images that a later one is compared with become more: always in the order of their distances. So the
greatest cosine of an image is a step function of eps, and its steps are the records that are met when its earlier
images are visited in that order. There are few of them, and to move eps is to look them up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

import meddel_kernels as kernels
from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.select.algorithm1 import check_kernels, check_settings, clustered, clusters_for
from meddel.select.pool import check_embeddings
from meddel.select.ranking import Ranking, order_within, ranked

_MOST_OF_A_CLUSTER = 8192  # its cosines and neighbours take 16 bytes a pair: 1 GiB


@dataclass(frozen=True)
class Records:
    """The steps of each image's greatest cosine as eps grows, image after image and each by ascending eps.

    Attributes
    ----------
    starts : int64 [n + 1]
        The steps of the image at place i are ``starts[i]`` up to ``starts[i + 1]``; none for the first of a cluster.
    eps : float64 [m]
        From which eps on the step holds: both images have passed the filter.
    cosine : float64 [m]
    partner : int64 [m]
        The place that it is reached with.
    """

    starts: np.ndarray
    eps: np.ndarray
    cosine: np.ndarray
    partner: np.ndarray


@dataclass(frozen=True)
class OnePass:
    """Clusters and records of n images, by place among the ids: what every eps, keep, eta and ratio is read from.

    Attributes
    ----------
    labels : int32 [n]
        The clusters.
    distances : float64 [n]
        To the centroids.
    k : int
        Number of clusters.
    drawn : int64 [n]
        The order of ``keep="random"``.
    by_id : int64 [n]
        The row of the index at each place.
    records : mapping of keep to Records
    """

    labels: np.ndarray
    distances: np.ndarray
    k: int
    drawn: np.ndarray
    by_id: np.ndarray
    records: Mapping[Keep, Records]

    def ranking(self, eps: float, keep: Keep) -> Ranking:
        """Return what `meddel.select.algorithm1.rank` does at these settings, to the last bit.

        Raises
        ------
        MedDELError
            `eps` is not above 0, or `keep` is none that this pass was made for.
        """
        check_settings(len(self.labels), self.k, 1, eps, keep)
        if keep not in self.records:
            raise MedDELError(f"this pass has no keep rule {keep!r}", fix=f"choose one of {', '.join(self.records)}")
        steps = self.records[keep]
        held = np.concatenate([[0], np.cumsum(steps.eps <= eps)])[steps.starts]
        reached = np.flatnonzero(np.diff(held))
        last = steps.starts[:-1][reached] + np.diff(held)[reached] - 1
        cosine, partner = np.full(len(self.labels), -np.inf), np.full(len(self.labels), -1, np.int64)
        cosine[reached], partner[reached] = steps.cosine[last], steps.partner[last]
        offsets = order_within(self.labels, self.distances, self.k, eps=eps, keep=keep, drawn=self.drawn)[1]
        return ranked(self.labels, self.distances, cosine, partner, offsets, eps=eps, by_id=self.by_id)


def one_pass(
    embeddings: np.ndarray,
    index: pa.Table,
    rng: np.random.Generator,
    *,
    k: int | None = None,
    iterations: int = 50,
    keeps: tuple[Keep, ...] = ("near", "far"),
    backend: kernels.Backend = "auto",
    threads: int | None = None,
) -> OnePass:
    """Cluster the images and compare each with all of its cluster.

    Parameters
    ----------
    embeddings, index, rng, k, iterations, backend, threads
        As for `meddel.select.algorithm1.rank`: an equal generator gives the equal ranking.
    keeps : tuple of {"near", "far", "random"}
        For which rules.

    Raises
    ------
    MedDELError
        As for `rank`, or a cluster has more than 8,192 images, whose cosines would not fit the memory.
    """
    check_embeddings(embeddings, index)
    n = index.num_rows
    k = clusters_for(n) if k is None else k
    for keep in keeps:
        check_settings(n, k, iterations, 1.0, keep)
    check_kernels(backend, threads)
    by_id, unit, drawn, clusters = clustered(embeddings, index, rng, k, iterations, backend, threads)
    labels, distances = clusters.labels, clusters.distances
    largest = int(np.bincount(labels).max())
    if largest > _MOST_OF_A_CLUSTER:
        raise MedDELError(f"a cluster of {largest:,} images is too large to explore", fix="raise k")
    inside, offsets = order_within(labels, distances, k, eps=np.inf, keep="near", drawn=drawn)
    orders = {keep: order_within(labels, distances, k, eps=np.inf, keep=keep, drawn=drawn)[0] for keep in keeps}
    parts: dict[Keep, list[tuple[np.ndarray, ...]]] = {keep: [] for keep in keeps}
    with progress(what="compare within clusters", total=n, unit="image") as bar:
        for start, stop in pairwise(offsets):
            members = inside[start:stop]
            cosines = _cosines(unit[members], {"backend": backend, "threads": threads})
            for keep, order in orders.items():
                parts[keep].append(_steps(members, distances[members], cosines, order))
            bar.update(len(members))
    return OnePass(labels, distances, k, drawn, by_id, {keep: _joined(parts[keep], n) for keep in keeps})


def _cosines(unit: np.ndarray, work_on: dict[str, object]) -> np.ndarray:
    """All cosines of a cluster's rows: float64 [s, s], -inf on the diagonal, exact as those of `row_max_cosine`."""
    size = len(unit)
    cosines = np.full((size, size), -np.inf)
    if size > 1:
        found = kernels.top_neighbours(unit, np.arange(size), np.array([0, size]), size - 1, **work_on)
        cosines[np.arange(size)[:, None], found.neighbour] = found.cosine
    return cosines


def _steps(members: np.ndarray, distance: np.ndarray, cosines: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, ...]:
    """Place, eps, cosine and partner of the steps of one cluster, whose members come by ascending distance."""
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    mine = rank[members]
    earlier = mine < mine[:, None]
    visible = np.where(earlier, cosines, -np.inf)
    row, column = np.nonzero(earlier & (visible == np.maximum.accumulate(visible, axis=1)))
    cosine, eps = visible[row, column], np.maximum(distance[row], distance[column])
    # Of equal cosines the earliest image is the partner: a running minimum of the ranks that starts anew at each rise.
    rise = np.cumsum(np.append(False, (np.diff(row) > 0) | (np.diff(cosine) > 0))[: len(row)])
    first = np.minimum.accumulate(mine[column] - rise * len(order)) + rise * len(order)
    last = np.append((np.diff(row) > 0) | (np.diff(eps) > 0), True)[: len(row)]
    return members[row][last], eps[last], cosine[last], order[first][last]


def _joined(parts: list[tuple[np.ndarray, ...]], n: int) -> Records:
    place, eps, cosine, partner = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    by_place = np.argsort(place, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=n))])
    return Records(starts, eps[by_place], cosine[by_place], partner[by_place])
