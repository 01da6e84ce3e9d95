"""MedDEL's selection: Algorithm 1 of the paper (section 3.2, Fig. 2).

The embeddings x are scaled to length 1 and clustered by K-means; c(j) is the cluster of image j and mu its centroid.

    eps filter   d_j = |x_j - mu_c(j)|                            image j is disruptive or invalid if d_j > eps
    eta rule     M_j = max cos(x_i, x_j), i before j in c(j)      image j is a duplicate if M_j > eta

The maximum is over the images which passed the filter. The first image of a cluster has no M and is always kept.

- The rule is not greedy, as in SemDeDup: an image which is itself a duplicate still removes others.
- The paper does not name the distance of the filter. Here it is the Euclidean one to the mean of the cluster's unit
  embeddings, which K-means makes small: it is between 0 and 2 for every encoder. With a cosine distance, eps = 0.9
  would let everything pass within 84 degrees of the centroid.
- As printed, Algorithm 1 compares each image with itself too, which would delete all of them, as that cosine is 1.
- The text keeps the image nearer to the centroid, the algorithm (and SemDeDup) the one farther from it:
  ``keep="near"``, the default, follows the text, ``"far"`` the algorithm, and ``"random"`` neither.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.random import Generator

import meddel_kernels as kernels
from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.select.pool import check_budget, check_choice, check_clusters, check_embeddings, clusters_for, rows_by_id
from meddel.select.ranking import Ranking, order_within, ranked
from meddel.select.registry import register


def at_threshold(
    embeddings: np.ndarray, index: pa.Table, eta: float, rng: Generator, *, eps: float = 0.9, **settings: Any
) -> pa.Table:
    """Keep what the two thresholds leave, as the paper does.

    Parameters
    ----------
    eta : float
        A cosine, from -1 to 1.
    embeddings, index, rng, eps, settings
        As for `rank`.
    """
    check_threshold(eta)
    ranking = rank(embeddings, index, rng, eps=eps, **settings)
    disruptive = ranking.distance > eps  # |x_j - mu_c(j)| > eps
    duplicate = ranking.cosine > eta  #    max cos(x_i, x_j) > eta, over i before j in c(j)
    if disruptive.all():
        raise MedDELError(f"every image is farther than eps = {eps} from its centroid", fix="raise eps or k")
    return ranking.selection(index, np.count_nonzero(~disruptive & ~duplicate))


def rank(
    embeddings: np.ndarray,
    index: pa.Table,
    rng: Generator,
    *,
    k: int | None = None,
    iterations: int = 50,
    eps: float = 0.9,
    keep: Keep = "near",
    backend: kernels.Backend = "auto",
    threads: int | None = None,
) -> Ranking:
    """Rank all images: the one pass from which every threshold and every ratio is read.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
        Of any length but 0.
    index : pyarrow.Table
        n rows with ``id``. The order of the rows does not matter.
    rng : numpy.random.Generator
        Seeds K-means and draws the order of ``keep="random"``.
    k : int or None
        Number of clusters; None: `clusters_for`.
    iterations : int
        At most so many of K-means.
    eps : float
        Greatest distance to the centroid, above 0.
    keep : {"near", "far", "random"}
        The order within a cluster: by ascending or descending distance to the centroid, or drawn.
    backend : {"auto", "cpu", "cuda", "numba-cuda", "reference"}
        Which kernels compute; the ranking is the same to the last bit.
    threads : int or None
        None: all cores. The ranking does not depend on it.

    Raises
    ------
    MedDELError
        A setting is out of range, an embedding is refused, or the back end can't run here.
    """
    check_embeddings(embeddings, index)
    n = index.num_rows
    k = clusters_for(n) if k is None else k
    check_settings(n, k, iterations, eps, keep)
    check_kernels(backend, threads)
    by_id, unit, drawn, found = clustered(embeddings, index, rng, k, iterations, backend, threads)
    inside, offsets = order_within(found.labels, found.distances, k, eps=eps, keep=keep, drawn=drawn)
    with progress(what="compare within clusters", total=len(inside), unit="image") as bar:
        cosine, partner = kernels.row_max_cosine(
            unit, inside, offsets, callback=bar.update, backend=backend, threads=threads
        )
    return ranked(found.labels, found.distances, cosine, partner, offsets, eps=eps, by_id=by_id)


@register("meddel")
def select(
    embeddings: np.ndarray,
    index: pa.Table,
    budget: int,
    rng: Generator,
    *,
    k: int | None = None,
    iterations: int = 50,
    eps: float = 0.9,
    keep: Keep = "near",
    backend: kernels.Backend = "auto",
    threads: int | None = None,
) -> pa.Table:
    """Keep the first `budget` images of `rank`, which has the same settings.

    If fewer images passed the eps filter, outliers fill the budget up by ascending distance.
    """
    check_budget(budget, index.num_rows)
    settings = {"k": k, "iterations": iterations, "eps": eps, "keep": keep, "backend": backend, "threads": threads}
    return rank(embeddings, index, rng, **settings).selection(index, budget)


def _with(keep: Keep) -> Callable[..., pa.Table]:
    """Return `select` with another keep rule, to compare it with the paper's text."""

    def variant(*arguments: Any, **settings: Any) -> pa.Table:
        return select(*arguments, keep=keep, **settings)

    variant.__doc__ = f"Keep the first `budget` images of `rank` with ``keep={keep!r}``."
    taken = inspect.signature(select)
    parameters = [parameter for parameter in taken.parameters.values() if parameter.name != "keep"]
    variant.__signature__ = taken.replace(parameters=parameters)
    return variant


register("meddel-far")(_with("far"))
register("meddel-random")(_with("random"))


class Clustered(NamedTuple):
    """The unit embeddings in the order of their ids, their clusters, and a permutation for ``keep="random"``."""

    by_id: np.ndarray
    unit: np.ndarray
    drawn: np.ndarray
    clusters: kernels.KMeans


def clustered(
    embeddings: np.ndarray,
    index: pa.Table,
    rng: Generator,
    k: int,
    iterations: int,
    backend: kernels.Backend,
    threads: int | None,
) -> Clustered:
    """Cluster the unit embeddings into `k` clusters; the arguments are those of `rank`, checked before."""
    by_id = rows_by_id(index)
    unit = kernels.unit_rows(embeddings[by_id])
    seed, permutation = int(rng.integers(2**63)), rng.permutation(index.num_rows)
    with progress(what="K-means", total=iterations, unit="iteration") as bar:
        settings = {"iterations": iterations, "backend": backend, "threads": threads}
        found = kernels.kmeans(unit, k, seed=seed, callback=lambda *_: bar.update(), **settings)
    return Clustered(by_id, unit, permutation, found)


def check_threshold(eta: float) -> None:
    """Refuse an `eta` which is no cosine."""
    if not -1 <= eta <= 1:
        raise MedDELError(f"eta {eta} is no cosine", fix="give a threshold from -1 to 1, such as 0.95")


def check_settings(n: int, k: int, iterations: int, eps: float, keep: str) -> None:
    """Refuse settings of `rank` which are out of range for `n` images."""
    check_clusters(n, k, iterations)
    if not eps > 0:
        raise MedDELError(f"eps = {eps} is no distance above 0", fix="give a distance such as 0.9")
    check_choice("keep rule", keep, Keep)


def check_kernels(backend: str, threads: int | None) -> None:
    """Refuse a back end which is unknown or can't run here, and a number of threads below 1."""
    check_choice("back end", backend, kernels.Backend)
    if threads is not None and threads < 1:
        raise MedDELError(f"{threads} threads", fix="give at least 1")
    try:
        kernels.kmeans(np.eye(1), 1, iterations=1, backend=backend)
    except RuntimeError as error:  # no GPU, no driver, no CuPy
        what = str(error).rpartition(": ")[0] or str(error)
        raise MedDELError(what, fix="choose the back end auto or cpu") from error
