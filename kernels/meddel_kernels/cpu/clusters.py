"""All clusters of a ragged batch: small ones shared out whole, of large ones the tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from meddel_kernels.cpu.exact import plan
from meddel_kernels.cpu.llvm import TILE
from meddel_kernels.cpu.pca import ROWS, principal_directions
from meddel_kernels.cpu.screen import Screen, centre_of, empty_screen, fill
from meddel_kernels.cpu.threads import one_blas_thread, share_out
from meddel_kernels.cpu.unit_rows import SHORTEST, Unit, empty_unit, lengths, norms, regular

LARGE = 2048  # rows: smaller clusters are one thread's work
WIDTH = 128
LEAST = 12_000  # rows: the square of a smaller cluster costs less than finding directions (40 ms for 768 columns)
FEW = 0.01
_TRIED = 256
_BLOCK = 16 * TILE


def over_clusters(
    x: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    threads: int,
    callback: Callable[[int], None] | None,
    results: tuple[np.ndarray, ...],
    whole: Callable[[np.ndarray, np.ndarray], np.ndarray],
    large: Callable[[Unit, Screen], None],
    again: Callable[..., None],
    threshold: float | None = None,
) -> None:
    """Give the numbers of small clusters to `whole`, and large ones, prepared, to `large`.

    Clusters that `whole` returns, and large ones whose rows break the contract of ``unit_rows``, go to `again` as a
    batch of their own, with `regular` rows; `results` are what all fill: cosines, and rows, which get -1 for none.
    """
    x = np.ascontiguousarray(x, np.float32 if x.dtype == np.float16 else None)
    sizes = np.diff(offsets)
    small, odd = np.flatnonzero(sizes <= LARGE), [np.empty(0, np.int64)]

    def report(first: int, last: int) -> None:
        for size in sizes[small[first:last]].tolist() if callback is not None else ():
            callback(size)

    share_out(lambda first, last: odd.append(whole(x, small[first:last])), len(small), 1, threads, done=report)
    for number in np.flatnonzero(sizes > LARGE).tolist():
        prepared = _prepared(x, order[offsets[number] : offsets[number + 1]], threads, threshold)
        if prepared is None:
            odd.append(np.array([number]))
        else:
            large(*prepared)
        del prepared
        if callback is not None:
            callback(int(sizes[number]))
    for number in np.concatenate(odd).tolist():
        rows = order[offsets[number] : offsets[number + 1]]
        local = [np.full((len(rows), *r.shape[1:]), -np.inf if r.dtype.kind == "f" else -1, r.dtype) for r in results]
        again(regular(x[rows]), np.arange(len(rows)), np.array([0, len(rows)]), *local)
        for result, found in zip(results, local, strict=True):
            result[rows] = found if result.dtype.kind == "f" else np.where(found >= 0, rows[found], -1)


def _prepared(x: np.ndarray, rows: np.ndarray, threads: int, threshold: float | None) -> tuple[Unit, Screen] | None:
    """Return a large cluster's unit rows and its screen; None if it needs `regular` rows.

    The screen is along the leading principal directions if those suffice for the threshold, at a sixth of the cost for
    768 columns, else along all. That decides how long it takes, not what comes out.
    """
    m, d = len(rows), x.shape[1]
    u, good = empty_unit(x, rows, plan(d)), []
    share_out(lambda first, last: good.append(lengths(u, first, last, SHORTEST[x.dtype])), m, _BLOCK, threads)
    if not all(good):
        return None
    share_out(lambda first, last: norms(u, first, last), m, _BLOCK, threads)
    centre, basis = centre_of(u), np.empty((0, d), np.float32)
    if threshold is not None and d > 2 * WIDTH and m >= LEAST:
        leading = principal_directions(_some_rows(u, centre, ROWS), WIDTH).T
        leading = np.ascontiguousarray(leading, np.float32)
        if suffice(u, centre, leading, threshold):
            basis = leading
    s = empty_screen(m, d, len(basis) or d)
    share_out(lambda first, last: fill(u, centre, basis, s, first, last), m, _BLOCK, threads)
    return u, s


def suffice(u: Unit, centre: np.ndarray, basis: np.ndarray, threshold: float) -> bool:
    """Return whether few bounds along these directions reach a threshold, of 256 rows with 256 others."""
    rows = _some_rows(u, centre, 2 * _TRIED)
    with one_blas_thread():
        along, inside = rows @ basis.T, rows @ centre + centre @ centre / 2
        across = np.sqrt(np.maximum(np.square(rows).sum(axis=1) - np.square(along).sum(axis=1), 0))
        bounds = along[::2] @ along[1::2].T + np.outer(across[::2], across[1::2]) + inside[::2, None] + inside[1::2]
    return float((bounds > threshold).mean()) < FEW


def _some_rows(u: Unit, centre: np.ndarray, count: int) -> np.ndarray:
    """Return up to so many centred unit rows, evenly spread over the cluster: float32 [c, d]."""
    at = np.linspace(0, len(u.rows) - 1, min(count, len(u.rows))).astype(np.int64)
    return (u.x[u.rows[at]] * u.inverse[at, None]).astype(np.float32) - centre
