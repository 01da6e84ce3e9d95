"""The record of survived faults counts what passed tests have noted, and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import record


def report(outcome: str, *faults: list, when: str = "call") -> pytest.TestReport:
    """What a test process, or a worker of xdist, tells of a test."""
    noted = [("fault", fault) for fault in faults]
    properties = [*noted, ("other", 1)]
    return pytest.TestReport("test", ("test.py", 1, "test"), {}, outcome, None, when, user_properties=properties)


def test_what_passed_is_added_up(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    recorder = record.Recorder(tmp_path / "faults")
    for one in (report("passed", ["a fire", "the kitchen", 50]), report("passed", ["a flood", "the cellar", 1])):
        recorder.pytest_runtest_logreport(report("passed", ["a fire", "the kitchen", 50], when="teardown"))
        for _ in range(3):
            recorder.pytest_runtest_logreport(one)
    recorder.pytest_runtest_logreport(report("skipped", ["a quake", "the roof", 1]))
    recorder.pytest_sessionfinish(request.session)
    lines = (tmp_path / "faults" / "faults.csv").read_text().splitlines()
    assert lines == ["fault,in,survived", "a fire,the kitchen,150", "a flood,the cellar,3"]
    assert "-m pytest" in json.loads((tmp_path / "faults" / "provenance.json").read_text())["command"]


@pytest.mark.parametrize("outcome", ["failed", "passed"])
def test_a_run_that_failed_or_had_no_fault_is_not_recorded(
    tmp_path: Path, request: pytest.FixtureRequest, outcome: str
) -> None:
    recorder = record.Recorder(tmp_path / "faults")
    recorder.pytest_runtest_logreport(report("passed", *[["a fire", "the kitchen", 1]] * (outcome == "failed")))
    recorder.pytest_runtest_logreport(report(outcome, when="teardown"))
    recorder.pytest_sessionfinish(request.session)
    assert not (tmp_path / "faults").exists()


@pytest.mark.fault("a mark", "this test")
def test_marks_and_counts_become_properties(request: pytest.FixtureRequest, survived: Callable[..., None]) -> None:
    request.node.user_properties.remove(("fault", ["a mark", "this test", 1]))  # it is no fault
    survived("a count", "this test", 7)
    assert request.node.user_properties == [("fault", ["a count", "this test", 7])]
    request.node.user_properties.clear()


def test_the_readme_gets_the_table_where_it_has_a_place(tmp_path: Path) -> None:
    counts = Counter({("kill", "sort"): 1050, ("kill", "embed"): 50, ("flood", "cellar"): 2})
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- results: faults -->\nold\n<!-- end of results -->\nb\n")
    record.write(tmp_path / "faults", counts, ["pytest", "tests"], readme)
    text = readme.read_text()
    assert "| kill | 1,100 | embed 50, sort 1,050 |" in text and "old" not in text and text.endswith("\nb\n")
    assert text.index("| kill") < text.index("| flood | 2 | cellar 2 |")
