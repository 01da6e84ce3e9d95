"""Cosines inside the clusters of a ragged batch, on the device: one launch for all clusters of a group."""

from __future__ import annotations

import numpy as np

from meddel_kernels.cuda.device import Array, grid
from meddel_kernels.cuda.groups import FACTOR, Told, groups
from meddel_kernels.cuda.screen import TILE, advance, everything, nothing_passed, squares, triangles

NONE = 2**31 - 1


def row_max(
    x: Array, order: np.ndarray, offsets: np.ndarray, cosine: np.ndarray, partner: np.ndarray, threads: int,
    callback: Told,
) -> None:  # fmt: skip
    """Fill `cosine` and `partner` as ``reference.cosine.row_max`` does; see ``row_max.cu``."""
    for group in groups(x, order, offsets, callback):
        device, lead, work = group.device, group.lead, triangles(group.offsets)
        passed = nothing_passed(device, group.m)
        l = lead.q.shape[1]  # noqa: E741
        device.launch(
            "row_max.screen", len(work), lead.q, lead.scale, group.first_offset, group.slack, device.upload(work), l,
            *passed,
        )  # fmt: skip
        values, winners = device.empty(group.m, np.float64), device.empty(group.m, np.int32)
        device.launch(
            "row_max.decide", grid(group.m), group.unit, lead.q, lead.scale, group.first_offset, lead.offset,
            group.slack, group.start, *passed, FACTOR**2, *group.plan, group.m, group.d, l, values, winners,
        )  # fmt: skip
        cosine[group.rows] = device.download(values)
        partner[group.rows] = group.named(device.download(winners))


def first_above(
    x: Array, order: np.ndarray, offsets: np.ndarray, threshold: float, greedy: bool, partner: np.ndarray, threads: int,
    callback: Told,
) -> None:  # fmt: skip
    """Fill `partner` as ``reference`` does; see ``first_above.cu``."""
    for group in groups(x, order, offsets, callback):
        device, lead, l = group.device, group.lead, group.lead.q.shape[1]  # noqa: E741
        _, *passed = nothing_passed(device, group.m)
        found, winners = device.full(group.m, NONE, np.int32), device.full(group.m, -1, np.int32)
        leads = (lead.q, lead.scale, group.first_offset, lead.offset, group.slack)
        for step in advance(group.offsets) if greedy else [everything(group.offsets)]:
            work, rows, stop = (device.upload(part) for part in (step.work, step.rows, step.stop))
            device.launch(
                "first_above.screen", len(work), *leads, work, threshold, FACTOR**2, greedy, l, winners, found, *passed
            )  # fmt: skip
            device.launch(
                "first_above.settle", grid(len(rows)), group.unit, *leads, group.start, stop, rows, found, *passed,
                threshold, FACTOR**2, greedy, *group.plan, len(rows), group.d, l, winners,
            )  # fmt: skip
            if greedy:
                device.launch(
                    "first_above.panel", len(step.panels), group.unit, *leads, device.upload(step.panels), threshold,
                    FACTOR**2, *group.plan, group.d, l, winners,
                )  # fmt: skip
        partner[group.rows] = group.named(device.download(winners))


def top(
    x: Array, order: np.ndarray, offsets: np.ndarray, cosine: np.ndarray, neighbour: np.ndarray, threads: int,
    callback: Told,
) -> None:  # fmt: skip
    """Fill `cosine` and `neighbour` as ``reference`` does; see ``top.cu``."""
    m = cosine.shape[1]
    room = -(-m // 32) * 32 + 2 * TILE
    for group in groups(x, order, offsets, callback, 8 * room + 12 * m):
        device, lead, l = group.device, group.lead, group.lead.q.shape[1]  # noqa: E741
        leads, work = (lead.q, lead.scale, lead.offset, group.slack), squares(group.offsets)
        count, listed = device.empty(group.m, np.int32), device.empty((group.m, room), np.int32)
        estimates, least = device.empty((group.m, room), np.float32), device.empty(group.m, np.float32)
        passed = (count, listed, estimates, least)
        device.launch("top.screen", len(work), *leads, device.upload(work), m, room, l, *passed)
        values, winners = device.full((group.m, m), -np.inf, np.float64), device.full((group.m, m), -1, np.int32)
        device.launch(
            "top.decide", grid(group.m), group.unit, *leads, group.start, group.stop, *passed, FACTOR**2, *group.plan,
            group.m, group.d, l, m, room, values, winners,
        )  # fmt: skip
        cosine[group.rows] = device.download(values)
        neighbour[group.rows] = group.named(device.download(winners))


def gains(
    x: Array, order: np.ndarray, offsets: np.ndarray, best: np.ndarray, p: int, gains: np.ndarray, threads: int,
    callback: Told,
) -> None:  # fmt: skip
    """Fill `gains` as ``reference`` does; see ``gains.cu``."""
    for group in groups(x, order, offsets, callback):
        device, lead, work = group.device, group.lead, triangles(group.offsets)
        values = device.full(group.m, 0, np.uint64)
        device.launch(
            "gains.gains", len(work), group.unit, lead.q, lead.scale, lead.offset, group.slack, device.upload(work),
            device.upload(best[group.rows]), 2.0**p, FACTOR**2, *group.plan, group.d, lead.q.shape[1], values,
        )  # fmt: skip
        gains[group.rows] = device.download(values).view(np.int64)
