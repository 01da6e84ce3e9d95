"""Who wins at which weight, if every candidate's score is a line: its height minus the weight times its cost.

NormDEL is such a case in its alpha, since ``ln DEL = ln mIoU - alpha R``; net benefit is one in its price.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Reign:
    """The candidate at `place` has the greatest score at every weight between `low` and `high`."""

    place: int
    low: float
    high: float


def reigns(height: ArrayLike, cost: ArrayLike) -> list[Reign]:
    """Return the winners of ``height - weight * cost`` as the weight grows from 0, exactly and in order.

    Parameters
    ----------
    height, cost : array_like of float [n]
        Finite. Of candidates that tie at every weight, the first counts.

    Returns
    -------
    list of Reign
        Adjacent intervals that cover [0, infinity), of falling cost and height. A candidate that is not listed wins at
        no weight, alone or tied over an interval, even if none dominates it.
    """
    tall, dear = np.asarray(height, dtype=float), np.asarray(cost, dtype=float)
    place = int(np.lexsort((dear, -tall))[0])
    low, found = 0.0, []
    while (cheaper := np.flatnonzero(dear < dear[place])).size:
        crossing = (tall[place] - tall[cheaper]) / (dear[place] - dear[cheaper])
        high = max(low, float(crossing.min()))
        found.append(Reign(place, low, high))
        # Where several lines meet, the cheapest leads from there on.
        nearest = cheaper[crossing <= high]
        place, low = int(nearest[np.lexsort((-tall[nearest], dear[nearest]))[0]]), high
    return [*found, Reign(place, low, math.inf)]
