"""MedDEL's ranking of all images, from which every threshold and every ratio is read, and how it follows from clusters.

It is the same whether the clusters were made in memory (`meddel.select.meddel`) or by streaming a store
(`meddel.scale`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.select.base import budget_for, selection


@dataclass(frozen=True)
class Ranking:
    """All n images in the order in which MedDEL keeps them, and why.

    Attributes
    ----------
    order : int64 [n]
        Rows of the index, first to keep first. Images that passed the eps filter come first, by ascending M; the first
        ones of the clusters, which have no M, lead, that of the largest cluster first. Outliers come last, by ascending
        distance. Ties go by id.
    cosine : float64 [n]
        M, by row (as all that follow): -inf for the first of a cluster and for outliers.
    partner : int64 [n]
        The row that M is reached with, -1 for none.
    distance : float64 [n]
        Euclidean distance between the unit embedding and its centroid.
    cluster : int32 [n]
    outlier : bool [n]
    """

    order: np.ndarray
    cosine: np.ndarray
    partner: np.ndarray
    distance: np.ndarray
    cluster: np.ndarray
    outlier: np.ndarray

    @property
    def ascending(self) -> np.ndarray:
        """M of the images that passed the eps filter, ascending: float64."""
        return np.sort(self.cosine[~self.outlier])

    def selection(self, index: pa.Table, budget: int) -> pa.Table:
        """Return the selection that keeps the first `budget` images.

        Who goes is an ``outlier``, or the ``duplicate`` of its partner, or, as the first of its cluster where there are
        more clusters than budget, ``not drawn``. A partner may be gone too: the rule is not greedy.
        """
        return selection(
            index,
            self.order,
            budget,
            reason=reasons(self.outlier, self.partner),
            partner=self.partner,
            cosine=self.cosine,
            distance=self.distance,
            cluster=self.cluster,
        )


def order_within(
    labels: np.ndarray, distances: np.ndarray, k: int, *, eps: float, keep: Keep, drawn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Put the images that pass the eps filter in order, cluster after cluster, the first to keep of each first.

    Parameters
    ----------
    labels : int32 [n]
        The clusters, by place among the ids (as all that follow).
    distances : float64 [n]
        To the centroids.
    k : int
        Number of clusters.
    eps, keep
        As for `rank`.
    drawn : int [n]
        The order of ``keep="random"``; the others don't read it.

    Returns
    -------
    inside : int64 [m]
        Places.
    offsets : int64 [k + 1]
        Cluster i is ``inside[offsets[i]:offsets[i + 1]]``.
    """
    priority = {"near": distances, "far": -distances, "random": drawn}[keep]
    inside = np.lexsort((priority, labels))
    inside = inside[distances[inside] <= eps]
    return inside, np.concatenate([[0], np.cumsum(np.bincount(labels[inside], minlength=k))])


def ranked(
    labels: np.ndarray,
    distances: np.ndarray,
    cosine: np.ndarray,
    partner: np.ndarray,
    offsets: np.ndarray,
    *,
    eps: float,
    by_id: np.ndarray,
) -> Ranking:
    """Return the ranking that follows from clusters and cosines.

    Parameters
    ----------
    labels, distances, offsets, eps
        As for `order_within`.
    cosine : float64 [n]
        M, by place: -inf for the first of a cluster and for outliers.
    partner : int64 [n]
        The place that M is reached with, -1 for none.
    by_id : int64 [n]
        The row of the index at each place.
    """
    row = np.argsort(by_id)  # where each row of the index stands among the ids
    outlier = distances > eps
    size = np.where(partner < 0, np.diff(offsets)[labels], 0)
    return Ranking(
        order=by_id[np.lexsort((np.where(outlier, distances, -size), np.where(outlier, np.inf, cosine)))],
        cosine=cosine[row],
        partner=np.where(partner < 0, -1, by_id[partner])[row],
        distance=distances[row],
        cluster=labels[row],
        outlier=outlier[row],
    )


def reasons(outlier: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """Return why an image goes, if it goes: str [n] from bool [n] and int [n], as `Ranking` has them."""
    return np.where(outlier, "outlier", np.where(partner < 0, "not drawn", "duplicate"))


def budget_at(ranking: Ranking, eta: float, eps: float) -> int:
    """Return how many images the threshold `eta` keeps, of those that passed the filter `eps`.

    Raises
    ------
    MedDELError
        None passed it.
    """
    budget = int(np.searchsorted(ranking.ascending, eta, side="right"))
    if not budget:
        raise MedDELError(f"every image is farther than eps = {eps} from its centroid", fix="raise eps or k")
    return budget


def eta_curve(ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
    """Return the retention ratio as a function of eta (Table 2, for all thresholds).

    Returns
    -------
    eta : float64 [m]
        -1 and every value at which the ratio rises, ascending.
    ratio : float64 [m]
        The share of all images that `at_threshold` keeps from this eta up to the next. Its last value is below 1 by
        the share of outliers.
    """
    ascending = ranking.ascending
    eta = np.unique(np.concatenate([[-1.0], ascending[np.isfinite(ascending)]]))
    return eta, np.searchsorted(ascending, eta, side="right") / len(ranking.order)


def eta_for(ranking: Ranking, ratio: float) -> float | None:
    """Return the least eta in [-1, 1] at which at least the share `ratio` of the images stays (Table 2).

    None if the eps filter leaves fewer. Where cosines tie, the threshold keeps more than the ratio asks for.

    Raises
    ------
    MedDELError
        `ratio` lies outside (0, 1].
    """
    ascending, budget = ranking.ascending, budget_for(ratio, len(ranking.order))
    return None if budget > len(ascending) else float(max(-1.0, ascending[budget - 1]))
