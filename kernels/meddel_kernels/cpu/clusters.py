"""All clusters of a ragged batch: small ones shared out whole, of large ones the panels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from meddel_kernels.cpu.above import above_clusters, above_panels, above_staying
from meddel_kernels.cpu.cosine import CHUNK as ROW_MAX_CHUNK
from meddel_kernels.cpu.cosine import different, row_max_clusters, row_max_panels
from meddel_kernels.cpu.exact import plan
from meddel_kernels.cpu.facility_location import gains_clusters, gains_panels
from meddel_kernels.cpu.leading import LEAST, WIDTH, directions, fill_leading, suffice
from meddel_kernels.cpu.microkernel import PANEL
from meddel_kernels.cpu.neighbours import top_clusters, top_panels
from meddel_kernels.cpu.panel import CHUNK, new_room
from meddel_kernels.cpu.screen import Screen, apart, centre_of, empty_screen, fill
from meddel_kernels.cpu.threads import share_out
from meddel_kernels.cpu.unit_rows import Unit, empty_unit, least_length, lengths, norms, regular

LARGE = 2048  # rows: smaller clusters are one thread's work
_BLOCK = 16 * PANEL
_WAVE = 16  # panels

Told = Callable[[int], None] | None


def row_max(
    x: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    cosine: np.ndarray,
    partner: np.ndarray,
    threads: int,
    callback: Told,
) -> None:
    """Fill `cosine` and `partner` as ``reference.cosine.row_max`` does."""

    def whole(x: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return row_max_clusters(x, order, offsets, numbers, plan(x.shape[1]), least_length(x), cosine, partner)

    def large(u: Unit, s: Screen) -> None:
        rows = different(u, s)

        def panels(first: int, last: int) -> None:
            row_max_panels(u, s, rows, first, last, cosine, partner, new_room(u.x.shape[1], ROW_MAX_CHUNK))

        share_out(panels, len(s.panels), 1, threads)

    def again(x: np.ndarray, rows: np.ndarray) -> None:
        local = np.full(len(rows), -1, np.int64)
        greatest = np.full(len(rows), -np.inf)
        row_max(x, *_one(rows), greatest, local, threads, None)
        cosine[rows], partner[rows] = greatest, _named(rows, local)

    _over_clusters(x, order, offsets, threads, callback, whole, large, again)


def first_above(
    x: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    threshold: float,
    greedy: bool,
    partner: np.ndarray,
    threads: int,
    callback: Told,
) -> None:
    """Fill `partner` as ``reference.cosine.first_above`` does."""

    def whole(x: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return above_clusters(x, order, offsets, numbers, plan(x.shape[1]), least_length(x), threshold, greedy, partner)

    def large(u: Unit, s: Screen) -> None:
        def panels(first: int, last: int, start: int = 0, count: int = len(u.rows)) -> None:
            room = new_room(u.x.shape[1], CHUNK)
            above_panels(u, s, rows, count, start + first, start + last, threshold, partner, room)

        if not greedy:
            rows = s.leads
            share_out(panels, len(s.panels), 1, threads)
            return
        rows, count, room = apart(s.leads), np.zeros(1, np.int64), new_room(u.x.shape[1], CHUNK)
        for start in range(0, len(s.panels), _WAVE):
            stop = min(start + _WAVE, len(s.panels))
            share_out(partial(panels, start=start, count=int(count[0])), stop - start, 1, threads)
            above_staying(u, s, rows, count, start, stop, threshold, partner, room)

    def again(x: np.ndarray, rows: np.ndarray) -> None:
        local = np.full(len(rows), -1, np.int64)
        first_above(x, *_one(rows), threshold, greedy, local, threads, None)
        partner[rows] = _named(rows, local)

    _over_clusters(x, order, offsets, threads, callback, whole, large, again, threshold)


def top(
    x: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    cosine: np.ndarray,
    neighbour: np.ndarray,
    threads: int,
    callback: Told,
) -> None:
    """Fill `cosine` and `neighbour` as ``reference.cosine.top`` does."""

    def whole(x: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return top_clusters(x, order, offsets, numbers, plan(x.shape[1]), least_length(x), cosine, neighbour)

    def large(u: Unit, s: Screen) -> None:
        def panels(first: int, last: int) -> None:
            top_panels(u, s, first, last, cosine, neighbour, new_room(u.x.shape[1], CHUNK))

        share_out(panels, len(s.panels), 1, threads)

    def again(x: np.ndarray, rows: np.ndarray) -> None:
        local, greatest = (
            np.full((len(rows), cosine.shape[1]), -1, np.int64),
            np.full((len(rows), cosine.shape[1]), -np.inf),
        )
        top(x, *_one(rows), greatest, local, threads, None)
        cosine[rows], neighbour[rows] = greatest, _named(rows, local)

    _over_clusters(x, order, offsets, threads, callback, whole, large, again)


def gains(
    x: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    best: np.ndarray,
    p: int,
    gains_: np.ndarray,
    threads: int,
    callback: Told,
) -> None:
    """Fill `gains_` as ``reference.facility_location.gains`` does."""
    scale = 2.0**p

    def whole(x: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return gains_clusters(x, order, offsets, numbers, plan(x.shape[1]), least_length(x), best, scale, gains_)

    def large(u: Unit, s: Screen) -> None:
        def panels(first: int, last: int) -> None:
            gains_panels(u, s, first, last, best, scale, gains_, new_room(u.x.shape[1], CHUNK))

        share_out(panels, len(s.panels), 1, threads)

    def again(x: np.ndarray, rows: np.ndarray) -> None:
        local = np.zeros(len(rows), np.int64)
        gains(x, *_one(rows), best[rows], p, local, threads, None)
        gains_[rows] = local

    _over_clusters(x, order, offsets, threads, callback, whole, large, again)


def _one(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order and the offsets of one cluster of so many rows, which are a matrix of their own."""
    return np.arange(len(rows)), np.array([0, len(rows)])


def _named(rows: np.ndarray, local: np.ndarray) -> np.ndarray:
    """Return the rows that positions name, -1 for -1."""
    return np.where(local >= 0, rows[local], -1)


def _over_clusters(
    x: np.ndarray,
    order: np.ndarray,
    offsets: np.ndarray,
    threads: int,
    callback: Told,
    whole: Callable[[np.ndarray, np.ndarray], np.ndarray],
    large: Callable[[Unit, Screen], None],
    again: Callable[[np.ndarray, np.ndarray], None],
    threshold: float | None = None,
) -> None:
    """Give the numbers of small clusters to `whole`, large ones, prepared, to `large`; what `whole` gives back, and
    large ones whose rows need it, to `again` with `regular` rows."""
    x = np.ascontiguousarray(x, np.float32 if x.dtype == np.float16 else None)
    sizes = np.diff(offsets)
    small, odd = np.flatnonzero(sizes <= LARGE), [np.empty(0, np.int64)]

    def tell(first: int, last: int) -> None:
        for size in sizes[small[first:last]].tolist() if callback is not None else ():
            callback(size)

    share_out(lambda first, last: odd.append(whole(x, small[first:last])), len(small), 1, threads, done=tell)
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
        again(regular(x[rows]), rows)


def _prepared(x: np.ndarray, rows: np.ndarray, threads: int, threshold: float | None) -> tuple[Unit, Screen] | None:
    """Return a large cluster's unit rows and its screen; None if it needs `regular` rows.

    The screen is along few directions if those suffice for the threshold, else along all.
    """
    m, d = len(rows), x.shape[1]
    u, good = empty_unit(x, rows, plan(d)), []
    share_out(lambda first, last: good.append(lengths(u, first, last, least_length(x))), m, _BLOCK, threads)
    if not all(good):
        return None
    share_out(lambda first, last: norms(u, first, last), m, _BLOCK, threads)
    centre = centre_of(u)
    if threshold is not None and d > 2 * WIDTH and m >= LEAST:
        basis = directions(u, centre)
        if suffice(u, centre, basis, threshold):
            s = empty_screen(m, d, WIDTH)
            share_out(lambda first, last: fill_leading(u, centre, basis, s, first, last), m, _BLOCK, threads)
            return u, s
    s = empty_screen(m, d, d)
    share_out(lambda first, last: fill(u, centre, s, first, last), m, _BLOCK, threads)
    return u, s
