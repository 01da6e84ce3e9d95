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

from typing import NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import meddel_kernels as kernels
from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.select.base import check_budget, check_embeddings, register
from meddel.select.ranking import Ranking, budget_at, eta_curve, eta_for, order_within, ranked
from meddel_kernels.clustering import KMeans

__all__ = ["Ranking", "at_threshold", "check_kernels", "check_settings", "check_threshold", "clusters_for", "eta_curve"]
__all__ += ["eta_for", "rank", "select"]


class Clustered(NamedTuple):
    """What MedDEL's rules work on: rows in the order of their ids, so that the order of the index changes nothing.

    Attributes
    ----------
    by_id : int64 [n]
        The index's row at each place.
    unit : float64 [n, d]
        Unit embeddings by place.
    drawn : int64 [n]
        A permutation, for ``keep="random"``.
    clusters : KMeans
        By place.
    """

    by_id: np.ndarray
    unit: np.ndarray
    drawn: np.ndarray
    clusters: KMeans


def clustered(
    embeddings: np.ndarray,
    index: pa.Table,
    rng: np.random.Generator,
    k: int,
    iterations: int,
    backend: kernels.Backend,
    threads: int | None,
) -> Clustered:
    """Cluster the unit embeddings into `k` clusters; parameters as for `rank`, checked before."""
    by_id = pc.sort_indices(index["id"]).to_numpy().astype(np.int64)
    unit = kernels.unit_rows(embeddings[by_id])
    seed, drawn = int(rng.integers(2**63)), rng.permutation(index.num_rows)
    work_on = {"backend": backend, "threads": threads}
    with progress(what="K-means", total=iterations, unit="iteration") as bar:
        clusters = kernels.kmeans(
            unit, k, seed=seed, iterations=iterations, callback=lambda *_: bar.update(), **work_on
        )
    return Clustered(by_id, unit, drawn, clusters)


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
    k = clusters_for(n) if k is None else k
    check_settings(n, k, iterations, eps, keep)
    check_kernels(backend, threads)
    by_id, unit, drawn, clusters = clustered(embeddings, index, rng, k, iterations, backend, threads)
    inside, offsets = order_within(clusters.labels, clusters.distances, k, eps=eps, keep=keep, drawn=drawn)
    with progress(what="compare within clusters", total=len(inside), unit="image") as bar:
        cosine, partner = kernels.row_max_cosine(
            unit, inside, offsets, callback=bar.update, backend=backend, threads=threads
        )
    return ranked(clusters.labels, clusters.distances, cosine, partner, offsets, eps=eps, by_id=by_id)


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
    check_threshold(eta)
    settings = {"k": k, "iterations": iterations, "eps": eps, "keep": keep, "backend": backend, "threads": threads}
    ranking = rank(embeddings, index, rng, **settings)
    return ranking.selection(index, budget_at(ranking, eta, eps))


def clusters_for(n: int) -> int:
    """Return the number of clusters of `n` images where none is given: sqrt(n / 2), rounded, at least 1."""
    return max(1, round(np.sqrt(n / 2)))


def check_threshold(eta: float) -> None:
    """Refuse, by `MedDELError`, what is no cosine."""
    if not -1 <= eta <= 1:
        raise MedDELError(f"eta {eta} is no cosine", fix="give a threshold from -1 to 1, such as 0.95")


def check_settings(n: int, k: int, iterations: int, eps: float, keep: str) -> None:
    """Refuse, by `MedDELError`, settings of `rank` that are out of range for `n` images."""
    if not 1 <= k <= n:
        raise MedDELError(f"k = {k} clusters of {n} images", fix=f"give a k from 1 to {n}")
    if iterations < 1:
        raise MedDELError(f"{iterations} iterations of K-means", fix="give at least 1")
    if not eps > 0:
        raise MedDELError(f"eps = {eps} is no distance above 0", fix="give a distance such as 0.9")
    if keep not in get_args(Keep):
        raise MedDELError(f"unknown keep rule {keep!r}", fix=f"choose one of {', '.join(get_args(Keep))}")


def check_kernels(backend: str, threads: int | None) -> None:
    """Refuse, by `MedDELError`, a back end that is unknown or can't run here, and a number of threads below 1."""
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
