"""The tasks of exercises 01 to 07: the inputs of each check, the library's answer, and a hint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import meddel_kernels as kernels
from compendium.metrics import net_benefit
from compendium.workshop import pictures
from compendium.workshop.checks import Task
from meddel import evidence, manifests, normdel, select

KEPT_RULES, LESS_ALIKE = "every rule of the contract is kept", "less alike than a random choice"
_FRAMES, _BUDGET = 40, 24


def _normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# 01_find_duplicates


def _repeating() -> np.ndarray:
    """Return six rows, the last two of which repeat others at another length."""
    x = _normal(2, 6, 3)
    x[4:] = 2 * x[[1, 3]] + 0.1
    return x


def _cosines(x: np.ndarray) -> np.ndarray:
    unit = kernels.unit_rows(x)
    return unit @ unit.T


def _duplicates(x: np.ndarray, eta: float) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(_cosines(x) > eta, 1))]


# 02_cluster_by_hand


def _groups() -> tuple[np.ndarray, np.ndarray]:
    """Return rows around three places, float64 [30, 2], and three of them to start from."""
    x = 4 * _normal(3, 3, 2)[np.arange(30) % 3] + _normal(4, 30, 2)
    return x, x[:3]


def _pairs(labels: np.ndarray) -> int:
    sizes = np.bincount(labels)
    return int((sizes * (sizes - 1) // 2).sum())


# 03_apply_the_eta_rule


def _cluster() -> np.ndarray:
    """Return the unit rows of one cluster, float64 [8, 4]; some nearly repeat others."""
    x = _normal(5, 8, 4)
    x[[3, 6, 7]] = x[[0, 1, 3]] + 0.1 * _normal(6, 3, 4)
    return kernels.unit_rows(x)


def _whole(unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return order and offsets that make all rows one cluster, in their order."""
    return np.arange(len(unit)), np.array([0, len(unit)])


def _greatest(unit: np.ndarray) -> np.ndarray:
    return kernels.row_max_cosine(unit, *_whole(unit)).cosine


def _letter(unit: np.ndarray, eta: float) -> int:
    itself = np.einsum("ij,ij->i", unit, unit)
    return int((np.maximum(_greatest(unit), itself) <= eta).sum())


# 04_draw_the_retention_curve


def _drawn() -> np.ndarray:
    """Return greatest cosines to an earlier image of thirty images in three clusters; two of them are equal."""
    greatest = np.random.default_rng(6).uniform(0.2, 1, size=30).round(3)
    greatest[[0, 10, 20]] = -np.inf
    greatest[5] = greatest[4]
    return greatest


def _ranking(greatest: np.ndarray) -> select.Ranking:
    """Return the ranking of images that all pass the eps filter."""
    n = len(greatest)
    zeros = np.zeros(n)
    return select.Ranking(np.argsort(greatest), greatest, np.full(n, -1), zeros, zeros.astype(np.int32), zeros > 0)


# 06_compare_fairly


def recorded() -> pd.DataFrame:
    """Return the recorded scores of the project's study on two cores, one row a training."""
    return pd.read_csv(manifests.path("results/laptop/scores.csv"))


def _scores(selector: str, ratio: float) -> np.ndarray:
    """Return one recorded arm's foreground IoU by seed, of the first set and head: float64 [seeds]."""
    table = recorded()
    arm = table[(table.selector == selector) & (table.ratio == ratio)]
    arm = arm[(arm["set"] == arm["set"].min()) & (arm["head"] == arm["head"].min())]
    return arm.sort_values("seed").foreground_iou.to_numpy()


def _paired(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    return float(np.mean(ours - theirs)), *evidence.interval(ours - theirs)


def _arms() -> list[tuple[np.ndarray, np.ndarray]]:
    return [(_scores("all", 1.0), _scores("none", 0.0)), (0.6 + 0.1 * _normal(7, 8), 0.3 + 0.1 * _normal(8, 8))]


def _luck() -> tuple[np.ndarray, np.ndarray, float]:
    """Return scores of five selectors that are no better than the baseline, 400 times: [400, 5] and [400]."""
    return 0.5 + 0.02 * _normal(9, 400, 5), 0.5 + 0.02 * _normal(10, 400), 0.02


# 07_write_a_selector


def _rules(selector: Callable[..., Any]) -> str:
    _chosen(selector, 0)  # raises what an unwritten or broken selector raises
    broken = select.contract.check(selector)
    return broken[0] if broken else KEPT_RULES


def _less_alike(selector: Callable[..., Any]) -> str:
    """Compare the mean, over the kept images, of the greatest cosine to another kept image."""
    ours = _alike(_chosen(selector, 0))
    chance = float(np.mean([_alike(_chosen(select.get("random"), seed)) for seed in range(5)]))
    return LESS_ALIKE if ours < chance else f"mean greatest cosine {ours:.3f}, where a random choice has {chance:.3f}"


def _chosen(selector: Callable[..., Any], seed: int) -> np.ndarray:
    """Return the descriptors of the images that a selector keeps of a small pool."""
    pool = pictures.pool(_FRAMES)
    x = pictures.describe(pool.images)
    result = selector(x, pool.index, _BUDGET, np.random.default_rng(seed))
    table = select.as_selection(result, pool.index, _BUDGET, "yours")
    return x[table["kept"].to_numpy(zero_copy_only=False)]


def _alike(x: np.ndarray) -> float:
    return float(kernels.top_neighbours(x, *_whole(x), 1).cosine.mean())


TASKS = {
    "cosine": Task(
        lambda a, b: float(_cosines(np.stack([a, b]))[0, 1]),
        lambda: [(np.array([3.0, 4.0]), np.array([4.0, 3.0])), (_normal(1, 5), 7 * _normal(2, 5))],
        "divide the product of the two vectors by both of their lengths",
    ),
    "cosines": Task(_cosines, lambda: [(_repeating(),)], "scale each row to length 1, then one matrix product does it"),
    "duplicates": Task(
        _duplicates,
        lambda: [(_repeating(), 0.9), (_repeating(), 0.2)],
        "take each pair once, the earlier image first, and not an image with itself; above eta means greater than it",
    ),
    "assign": Task(
        lambda x, centroids: kernels.assign(x, centroids)[0],
        lambda: [_groups()],
        "subtract every centroid from every row ([n, 1, d] minus [k, d]), square, sum, and take the place of the least",
    ),
    "update": Task(
        kernels.update,
        lambda: [(_groups()[0], np.arange(30) % 3, 3)],
        "the new centroid c is the mean of the rows whose label is c",
    ),
    "K-means": Task(
        lambda x, centroids: kernels.kmeans(x, len(centroids), start=centroids, iterations=100).labels,
        lambda: [_groups()],
        "assign, update, and again, until the labels do not change; return the labels",
    ),
    "pairs compared": Task(
        _pairs,
        lambda: [(np.random.default_rng(4).integers(5, size=40),), (np.zeros(5, int),)],
        "a cluster of m images has m (m - 1) / 2 pairs; np.bincount counts the images of each cluster",
    ),
    "greatest cosine to an earlier image": Task(
        _greatest,
        lambda: [(_cluster(),)],
        "in the matrix of all cosines, row j looks at the columns before j only; nothing is before the first: -inf",
    ),
    "who stays": Task(
        lambda unit, eta: kernels.near_duplicates(unit, *_whole(unit), eta) < 0,
        lambda: [(_cluster(), 0.9), (_cluster(), 0.5)],
        "an image is deleted if its greatest cosine to an earlier one exceeds eta, even if that one is deleted itself",
    ),
    "the two readings": Task(
        lambda distance, keep: np.argsort(distance if keep == "near" else -distance, kind="stable"),
        lambda: [(np.array([0.4, 0.1, 0.3]), "near"), (np.array([0.4, 0.1, 0.3]), "far")],
        "the first can't be deleted: the nearest first keeps near, the farthest first keeps far",
    ),
    "to the letter": Task(
        _letter,
        lambda: [(_cluster(), 0.9)],
        "j runs from k on, so that the diagonal counts too; how many have no cosine above eta then?",
    ),
    "kept at eta": Task(
        lambda greatest, eta: float((_ranking(greatest).ascending <= eta).mean()),
        lambda: [(_drawn(), 0.9), (_drawn(), -1.0)],
        "the share of images whose greatest cosine is at most eta; -inf is below every eta",
    ),
    "retention curve": Task(
        lambda greatest: select.eta_curve(_ranking(greatest)),
        lambda: [(_drawn(),)],
        "the curve rises only at the values themselves: sort them once and ask np.searchsorted with side='right'",
    ),
    "eta for a ratio": Task(
        lambda greatest, ratio: select.eta_for(_ranking(greatest), ratio),
        lambda: [(_drawn(), 0.05), (_drawn(), 0.5), (_drawn(), 1.0)],
        "to keep the m least values, eta is the m-th of them in order, and never below -1",
    ),
    "NormDEL": Task(
        normdel.normdel,
        lambda: [(0.7095, 0.05), (0.7202, 1.0), (0.0, 0.3)],
        "DEL = mIoU exp(-R), then 1 / (1 + exp(-DEL)); both inputs are fractions",
    ),
    "what ties": Task(
        normdel.tie,
        lambda: [(0.7202, 1.0, 0.05), (0.6, 0.2, 0.5)],
        "the logistic function keeps order, so that equal NormDEL means equal DEL: solve that for the other mIoU",
    ),
    "net benefit": Task(
        net_benefit,
        lambda: [(0.68, 0.2, 0.6, 0.7, 0.5), (0.55, 0.05, 0.6, 0.7, 0.5)],
        "first the share of the gain from none to all that is kept, then minus price times ratio",
    ),
    "paired difference": Task(
        _paired,
        _arms,
        "subtract seed by seed first; half the interval is t (n - 1 degrees of freedom) times sd / sqrt(n), ddof=1",
    ),
    "sensitive": Task(
        lambda everything, none: bool(_paired(everything, none)[1] > 0),
        _arms,
        "the study sees what pre-training does if the whole interval of all minus none is above 0",
    ),
    "lucky winners": Task(
        lambda scores, baseline, margin: float((scores.max(axis=1) - baseline > margin).mean()),
        lambda: [_luck()],
        "take the best of the selectors in each repetition; in what share is it ahead of the baseline by the margin?",
    ),
    "contract": Task(
        lambda: KEPT_RULES,
        lambda: [()],
        "take all chance from rng, let ids break ties, return exactly `budget` ids, and change nothing you were given",
        run=_rules,
    ),
    "less alike than chance": Task(
        lambda: LESS_ALIKE,
        lambda: [()],
        "look at the images that your selector keeps: are there two frames of one still camera among them?",
        run=_less_alike,
    ),
}
