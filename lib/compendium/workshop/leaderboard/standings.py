"""Rank what is scored by mIoU, by NormDEL and by net benefit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from compendium.metrics.net_benefit import net_benefit
from compendium.workshop.leaderboard.board import Entry
from meddel import evidence
from meddel.normdel import normdel

SCORES = ("miou", "normdel", "net_benefit")
NONE, ALL = "no pre-training", "all images"


@dataclass(frozen=True)
class Standing:
    """One scored submission.

    `ratio` is the share of the pool, `miou` the mean over the seeds and `spread` their standard deviation (fractions);
    `normdel` is NaN for no pre-training, `net_benefit` where it is not defined. `places` has the place by each of
    `SCORES`, 1 for the best, None where there is no value.
    """

    entry: Entry
    ratio: float
    miou: float
    spread: float
    normdel: float
    net_benefit: float
    places: dict[str, int | None]


@dataclass(frozen=True)
class Gain:
    """All images minus no pre-training: mean and 95 % interval over the seeds; all NaN until both are scored."""

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval lies above 0, so that a share of the gain means something."""
        return self.low > 0


def gain(entries: Iterable[Entry]) -> Gain:
    """Return what all images gain over none."""
    scored = {entry.name: np.array(entry.miou) for entry in entries if entry.reference and entry.miou}
    if NONE not in scored or ALL not in scored:
        return Gain(math.nan, math.nan, math.nan)
    difference = scored[ALL] - scored[NONE]
    return Gain(float(difference.mean()), *evidence.interval(difference))


def standings(entries: list[Entry], pool: int, price: float, by: str = "miou") -> list[Standing]:
    """Return the scored submissions, best first by one of `SCORES`; who came first leads among equals.

    Parameters
    ----------
    entries : list of Entry
        Of `Board.entries`.
    pool : int
        Images in the pool.
    price : float
        As for `compendium.metrics.net_benefit.net_benefit`. That score is defined only where the gain is clear.
    by : {"miou", "normdel", "net_benefit"}
        What without a value comes last.
    """
    scored = [entry for entry in entries if entry.miou]
    means = {entry.name: float(np.mean(entry.miou)) for entry in scored if entry.reference}
    clear = gain(entries).clear
    found = []
    for entry in scored:
        miou, ratio = float(np.mean(entry.miou)), entry.kept / pool
        spread = float(np.std(entry.miou, ddof=1)) if len(entry.miou) > 1 else math.nan
        normal = float(normdel(miou, ratio)) if entry.kept else math.nan
        net = float(net_benefit(miou, ratio, means[NONE], means[ALL], price)) if clear else math.nan
        found.append(Standing(entry, ratio, miou, spread, normal, net, {}))
    for score in SCORES:
        _place(found, score)
    return sorted(found, key=lambda one: (one.places[by] is None, one.places[by], one.entry.number))


def _place(found: list[Standing], score: str) -> None:
    """Give places by one score; equals share the better one."""
    values = [getattr(one, score) for one in found]
    for one, value in zip(found, values, strict=True):
        one.places[score] = None if math.isnan(value) else 1 + sum(other > value for other in values)
