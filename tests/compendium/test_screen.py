"""The certified screen in NumPy: its bound holds, its answer is the definition's; its pictures say what it did."""

from __future__ import annotations

import numpy as np
import pytest

from compendium import figures, screen
from compendium.figures import screening
from compendium.figures.screening import roofline
from meddel_kernels import roofline as machine


def groups(n: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(9, d))[rng.integers(9, size=n)] + 0.3 * rng.normal(size=(n, d))


def brute_force(rows: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    return np.square(rows[:, None] - centroids[None]).sum(axis=2).argmin(axis=1)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_rounding_keeps_what_it_says(scale: float) -> None:
    rows = np.concatenate([groups(50, 17) * scale, np.zeros((1, 17))])
    made = screen.rounded(rows)
    kept = made.scale[:, None] * made.whole
    assert made.whole.dtype == np.int8 and np.abs(made.whole[:-1].astype(int)).max(axis=1).tolist() == [127] * 50
    assert (np.abs(rows - kept) <= 0.5000001 * made.scale[:, None]).all()
    np.testing.assert_allclose(made.rest, np.linalg.norm(rows - kept, axis=1))
    np.testing.assert_allclose(made.length, np.linalg.norm(kept, axis=1))


def test_the_bound_holds_and_is_reached() -> None:
    a, c = groups(300, 40), groups(80, 40, 1)
    product, bound = screen.products(screen.rounded(a), screen.rounded(c))
    assert (np.abs(product - a @ c.T) <= bound).all()
    # A row whose rest points the way the other goes: nothing of the bound is left over.
    along = np.array([[127.0, 0.5]]), np.array([[0.0, 127.0]])
    product, bound = screen.products(*map(screen.rounded, along))
    np.testing.assert_allclose(np.abs(product - along[0] @ along[1].T), bound)


@pytest.mark.parametrize("d", [1, 3, 64])
@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_the_screen_finds_what_the_definition_finds(d: int, shift: float) -> None:
    rows = groups(200, d) + shift
    centroids = np.concatenate([rows[:20], rows[:5] * (1 + 1e-12), rows[:3]])  # ties, and twins for float64
    found = screen.screen(rows, centroids)
    np.testing.assert_array_equal(found.nearest, brute_force(rows, centroids))
    assert (found.decided == screen.FLOAT64).any()
    assert shift or (found.decided > screen.INT8).mean() < 0.5
    assert (np.abs(found.error) <= found.bound).all()


def test_only_what_is_allowed_counts() -> None:
    rows = groups(60, 12)
    earlier = np.tri(60, k=-1, dtype=bool)
    found = screen.screen(rows, rows, earlier)
    square = np.where(earlier, np.square(rows[:, None] - rows[None]).sum(axis=2), np.inf)
    np.testing.assert_array_equal(found.nearest[1:], square[1:].argmin(axis=1))
    assert found.nearest[0] == -1
    assert ((found.decided == 0) == ~earlier).all()


def test_pictures_count_what_they_draw() -> None:
    rows = groups(80, 12)
    found = screen.screen(rows, np.concatenate([rows[:10], rows[:1] * (1 + 1e-12)]))
    counts = [(found.decided == tier).sum() for tier in range(4)]
    figure = screening.decisions(found.decided, "images", "centroids", "few are left")
    assert f"int8 is enough {counts[1]:,}; also in float32 {counts[2]:,}; also in float64 {counts[3]:,}" in figures.alt(
        figure
    )
    np.testing.assert_array_equal(figure.axes[0].get_images()[0].get_array(), found.decided)
    drawn = screening.rounding(rows[0]).axes[0]
    assert [int(text.get_text()) for text in drawn.texts] == screen.rounded(rows[:1]).whole[0].tolist()


def test_the_roofline_is_measured_and_drawn() -> None:
    rows = groups(3000, 64).astype(np.float32)
    ceilings, points = machine.measure(rows, rows[:100], threads=1)
    assert ceilings.threads == 1 and min(ceilings.bandwidth, ceilings.float32, ceilings.int8) > 1e8
    assert [point.intensity for point in points] == sorted(point.intensity for point in points)
    assert all(point.rate > 0 for point in points)
    figure = roofline(ceilings, points)
    roofs = [line.get_ydata().max() for line in figure.axes[0].get_lines()[:2]]
    np.testing.assert_allclose(roofs, [ceilings.float32 / 1e9, ceilings.int8 / 1e9])
    assert f"Memory {ceilings.bandwidth / 1e9:.1f} GB/s" in figures.alt(figure)
    for point in points:
        assert point.name in figures.alt(figure)


def test_fewer_rows_are_timed_for_their_differences_and_the_rate_is_that_of_all(monkeypatch) -> None:
    rows = groups(400, 32).astype(np.float32)
    monkeypatch.setattr(machine, "_seconds", lambda works: [1.0] * len(works))
    points = machine.measure(rows, rows[:20], threads=1)[1]
    monkeypatch.setattr(machine, "_DIFFERENCES", 40 * 20 * 32)
    fewer = machine.measure(rows, rows[:20], threads=1)[1]
    assert points[0].rate == 2 * 400 * 20 * 32
    assert fewer[0].rate == points[0].rate / 10
