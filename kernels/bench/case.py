"""What a case is: jobs that do the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

OURS = "meddel_kernels"
THRESHOLD = 0.95

Job = Callable[[], object]


class Case(NamedTuple):
    """Jobs that do the same, by name; one of them is `ours`, the others are compared with it.

    `operations` are the useful ones (multiplications and additions of the definition, whatever a job computes),
    `traffic` the bytes that must be read at least: the rows once an iteration.
    """

    jobs: dict[str, Job]
    operations: float
    traffic: float
    ours: str = OURS
