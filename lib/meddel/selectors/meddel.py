"""MedDEL, the paper's selector (section 3.2, Fig. 2, Algorithm 1).

1. K-means on the embeddings scaled to length 1.
2. *eps filter*: an image farther than eps from its centroid is disruptive or invalid. The paper does not say which
   distance. Here it is the Euclidean one between the unit embedding and the centroid (the mean of its cluster's unit
   embeddings): the very distance that K-means makes small, so that one number decides both the cluster and the filter;
   it lies in [0, 2] whatever the encoder, so that eps = 0.9 means something. (With a cosine distance 0.9 would let
   everything pass that is within 84 degrees of its centroid.)
3. *eta rule*: each cluster is put in an order. M_j is the greatest cosine of image j to an *earlier* image of its
   cluster that passed the filter; j is a duplicate if and only if M_j > eta. The first of each cluster has no M and
   always stays. It is not greedy: an image that is out itself still puts others out, as in SemDeDup.

In two points Algorithm 1 is not followed to the letter. It compares each image with itself too, and as that cosine is 1
it would delete them all: here an image is compared with earlier ones only. And it keeps the image farther from the
centroid where the text keeps the nearer: `keep` offers ``near`` (the text), ``far`` (the algorithm, and SemDeDup's
default) and ``random``.

As the images that stay at eta are those with M <= eta, sorting by M gives all thresholds from one pass: a ratio is met
exactly by a prefix of that ranking, and the prefixes are nested.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import meddel_kernels as kernels
from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.selectors.base import budget_for, check_budget, check_embeddings, register, selection


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
        reason = np.where(self.outlier, "outlier", np.where(self.partner < 0, "not drawn", "duplicate"))
        return selection(
            index,
            self.order,
            budget,
            reason=reason,
            partner=self.partner,
            cosine=self.cosine,
            distance=self.distance,
            cluster=self.cluster,
        )


def rank(
    embeddings: np.ndarray,
    index: pa.Table,
    rng: np.random.Generator,
    *,
    k: int | None = None,
    iterations: int = 50,
    eps: float = 0.9,
    keep: Keep = "near",
    backend: kernels.Backend = "auto",
    threads: int | None = None,
) -> Ranking:
    """Rank all images: the one pass that every threshold and every ratio is read from.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
        Of any length but 0; they are scaled to length 1 in float64.
    index : pyarrow.Table
        n rows with ``id``. The images are worked on in the order of their ids, so that the result does not depend on
        the order of the rows.
    rng : numpy.random.Generator
        Seeds K-means and draws the order of ``keep="random"``.
    k : int or None
        Number of clusters; None means sqrt(n / 2), rounded, at least 1.
    iterations : int
        At most so many Lloyd iterations.
    eps : float
        Greatest distance to the centroid, above 0 (distances are at most 2).
    keep : {"near", "far", "random"}
        The order within a cluster: by ascending or descending distance to the centroid, or drawn.
    backend : {"auto", "cpu", "cuda", "numba-cuda", "reference"}
        Which kernels compute; see `meddel_kernels`. The ranking is the same to the last bit.
    threads : int or None
        None: all cores. The ranking does not depend on it.

    Raises
    ------
    MedDELError
        A setting is out of range, `k` exceeds n, an embedding is refused (see `check_embeddings`), or the back end
        can't run here.
    """
    check_embeddings(embeddings, index)
    n = index.num_rows
    k = max(1, round(np.sqrt(n / 2))) if k is None else k
    _check_settings(n, k, iterations, eps, keep)
    _check_kernels(backend, threads)
    work_on = {"backend": backend, "threads": threads}
    by_id = pc.sort_indices(index["id"]).to_numpy().astype(np.int64)
    row = np.argsort(by_id)  # where each row of the index stands among the ids
    unit = kernels.unit_rows(embeddings[by_id])
    seed, drawn = int(rng.integers(2**63)), rng.permutation(n)
    with progress(what="K-means", total=iterations, unit="iteration") as bar:
        clusters = kernels.kmeans(
            unit, k, seed=seed, iterations=iterations, callback=lambda *_: bar.update(), **work_on
        )
    outlier = clusters.distances > eps
    priority = {"near": clusters.distances, "far": -clusters.distances, "random": drawn}[keep]
    inside = np.lexsort((priority, clusters.labels))
    inside = inside[~outlier[inside]]
    sizes = np.bincount(clusters.labels[inside], minlength=k)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    with progress(what="compare within clusters", total=len(inside), unit="image") as bar:
        cosine, partner = kernels.row_max_cosine(unit, inside, offsets, callback=bar.update, **work_on)
    size = np.where(partner < 0, sizes[clusters.labels], 0)
    return Ranking(
        order=by_id[np.lexsort((np.where(outlier, clusters.distances, -size), np.where(outlier, np.inf, cosine)))],
        cosine=cosine[row],
        partner=np.where(partner < 0, -1, by_id[partner])[row],
        distance=clusters.distances[row],
        cluster=clusters.labels[row],
        outlier=outlier[row],
    )


@register("meddel")
def select(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: np.random.Generator,
    *,
    k: int | None = None,
    iterations: int = 50,
    eps: float = 0.9,
    keep: Keep = "near",
    backend: kernels.Backend = "auto",
    threads: int | None = None,
) -> pa.Table:
    """Keep exactly `budget` images: the prefix of `rank`, whose parameters these are.

    Where the budget exceeds the images that passed the eps filter, outliers fill it up by ascending distance: at R = 1
    everything is kept.

    Parameters
    ----------
    budget : int
        From 1 to n.

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`.

    Raises
    ------
    MedDELError
        The budget is out of range, or as for `rank`.
    """
    check_budget(budget, index.num_rows)
    settings = {"k": k, "iterations": iterations, "eps": eps, "keep": keep, "backend": backend, "threads": threads}
    return rank(embeddings, index, rng, **settings).selection(index, budget)


def at_threshold(
    embeddings: np.ndarray,
    index: pa.Table,
    eta: float,
    rng: np.random.Generator,
    *,
    k: int | None = None,
    iterations: int = 50,
    eps: float = 0.9,
    keep: Keep = "near",
    backend: kernels.Backend = "auto",
    threads: int | None = None,
) -> pa.Table:
    """Keep what the threshold leaves, as the paper does: all that pass the eps filter and have M <= eta.

    Parameters
    ----------
    eta : float
        A cosine, from -1 to 1. The others are those of `rank`.

    Returns
    -------
    pyarrow.Table of `SELECTION_SCHEMA`.

    Raises
    ------
    MedDELError
        `eta` is out of range, the eps filter leaves no image, or as for `rank`.
    """
    if not -1 <= eta <= 1:
        raise MedDELError(f"eta {eta} is no cosine", fix="give a threshold from -1 to 1, such as 0.95")
    settings = {"k": k, "iterations": iterations, "eps": eps, "keep": keep, "backend": backend, "threads": threads}
    ranking = rank(embeddings, index, rng, **settings)
    budget = int(np.searchsorted(ranking.ascending, eta, side="right"))
    if not budget:
        raise MedDELError(f"every image is farther than eps = {eps} from its centroid", fix="raise eps or k")
    return ranking.selection(index, budget)


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


def _check_settings(n: int, k: int, iterations: int, eps: float, keep: str) -> None:
    if not 1 <= k <= n:
        raise MedDELError(f"k = {k} clusters of {n} images", fix=f"give a k from 1 to {n}")
    if iterations < 1:
        raise MedDELError(f"{iterations} iterations of K-means", fix="give at least 1")
    if not eps > 0:
        raise MedDELError(f"eps = {eps} is no distance above 0", fix="give a distance such as 0.9")
    if keep not in get_args(Keep):
        raise MedDELError(f"unknown keep rule {keep!r}", fix=f"choose one of {', '.join(get_args(Keep))}")


def _check_kernels(backend: str, threads: int | None) -> None:
    if backend not in get_args(kernels.Backend):
        choices = ", ".join(get_args(kernels.Backend))
        raise MedDELError(f"unknown back end {backend!r}", fix=f"choose one of {choices}")
    if threads is not None and threads < 1:
        raise MedDELError(f"{threads} threads", fix="give at least 1")
    try:
        kernels.kmeans(np.eye(1), 1, iterations=1, backend=backend)
    except RuntimeError as error:  # no GPU, no driver, no CuPy
        raise MedDELError(
            str(error).rpartition(": ")[0] or str(error), fix="choose the back end auto or cpu"
        ) from error
