"""The kernels with a back end bound to them: each test runs with the definition and with the processor's."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest

import meddel_kernels

NAMES = ("assign", "kmeans", "kmeans_parallel", "kmeans_plus_plus", "row_max_cosine", "update")


@pytest.fixture(params=["reference", "cpu"], scope="session")
def kernels(request: pytest.FixtureRequest) -> SimpleNamespace:
    return SimpleNamespace(**{name: partial(getattr(meddel_kernels, name), backend=request.param) for name in NAMES})
