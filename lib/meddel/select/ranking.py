"""MedDEL's ranking of all images, from which every threshold and every ratio is read without another pass.

The images which the threshold eta keeps are those with M <= eta, so in the order of ascending M they come first: each
ratio is met exactly by the first images of the ranking, and a smaller selection is part of each larger one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.select.pool import budget_for
from meddel.select.table import selection


@dataclass(frozen=True)
class Ranking:
    """All n images in the order in which MedDEL keeps them, and why.

    Attributes
    ----------
    order : int64 [n]
        Rows of the index, first to keep first. The images which passed the eps filter come by ascending M: first the
        first image of each cluster, which has no M, that of the largest cluster leading. Outliers come last, by
        ascending distance. Ties go by id.
    cosine : float64 [n]
        M, by row (as all that follow): -inf for the first image of a cluster and for outliers.
    partner : int64 [n]
        The row with which M is reached, -1 for none.
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
        """M of the images which passed the eps filter, ascending."""
        return np.sort(self.cosine[~self.outlier])

    def selection(self, index: pa.Table, budget: int) -> pa.Table:
        """Return the selection which keeps the first `budget` images."""
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
    """Put the images which pass the eps filter in order, cluster by cluster, the first to keep of each first.

    All arguments are by place in the order of ids; `drawn` is the order for ``keep="random"``. Cluster i is
    ``inside[offsets[i]:offsets[i + 1]]`` of the two results.
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
    """Return the ranking which follows from clusters, `cosine` (M) and `partner`, by place; `by_id` has the rows."""
    row = np.argsort(by_id)  # the place of each row
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
    """Return why each image is deleted if it is: str [n]."""
    return np.where(outlier, "outlier", np.where(partner < 0, "not drawn", "duplicate"))


def budget_at(ranking: Ranking, eta: float, eps: float) -> int:
    """Return how many images the threshold `eta` keeps; refuse a filter `eps` which no image passed."""
    if ranking.outlier.all():
        raise MedDELError(f"every image is farther than eps = {eps} from its centroid", fix="raise eps or k")
    return int(np.searchsorted(ranking.ascending, eta, side="right"))


def eta_curve(ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
    """Return the retention ratio as a function of eta (Table 2, for all thresholds).

    Returns
    -------
    eta : float64 [m]
        -1 and every value at which the ratio rises, ascending.
    ratio : float64 [m]
        The share of all images kept from this eta up to the next. The last is below 1 by the share of outliers.
    """
    ascending = ranking.ascending
    eta = np.unique(np.concatenate([[-1.0], ascending[np.isfinite(ascending)]]))
    return eta, np.searchsorted(ascending, eta, side="right") / len(ranking.order)


def eta_for(ranking: Ranking, ratio: float) -> float | None:
    """Return the least eta in [-1, 1] which keeps at least the share `ratio` of the images (Table 2).

    None if the eps filter leaves fewer. Where cosines tie, the threshold keeps more than `ratio`.
    """
    ascending, budget = ranking.ascending, budget_for(ratio, len(ranking.order))
    return None if budget > len(ascending) else float(max(-1.0, ascending[budget - 1]))
