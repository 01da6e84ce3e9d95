"""How a fuzz test runs: some examples by default, as many as ``--fuzz-examples`` says, and bounded memory."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

EXAMPLES = 40
MORE = 2 << 30  # bytes of addresses beyond those that the process has


@pytest.fixture
def fuzz(request: pytest.FixtureRequest, survived: Callable[..., None]) -> Callable[..., None]:
    """Check a property on spoilt input, and on what was once found to break it."""
    wanted = request.config.getoption("--fuzz-examples")

    def run(what: str, check: Callable[[Any], None], spoilt: SearchStrategy, known: Iterable[Any] = ()) -> None:
        count = 0

        def counted(value: Any) -> None:
            nonlocal count
            count += 1
            check(value)

        for value in known:
            counted(value)
        phases = [Phase.generate, Phase.shrink]
        asked = settings(
            max_examples=wanted or EXAMPLES, derandomize=not wanted, database=None, deadline=None, phases=phases,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        asked(given(spoilt)(counted))()
        survived("fuzzed input", what, count)

    return run


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Let the process take no more than 2 GiB beyond what it has: more is a MemoryError, and so a failure."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MORE, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
