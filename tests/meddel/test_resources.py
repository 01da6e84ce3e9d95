"""The cost of a step is its own, whatever the process did before, and whole where the step was interrupted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from meddel import resources
from meddel.resources import Cost, Meter

MB = 2**20


def filled(megabytes: int) -> np.ndarray:
    return np.ones(megabytes * MB, np.uint8)


@pytest.fixture
def resettable() -> None:
    """Skip where the system keeps one peak for the whole life of a process."""
    with resources.PeakMemory() as peak:
        pass
    if peak.of == "process":
        pytest.skip("this system does not reset a process's peak")


@pytest.mark.usefixtures("resettable")
def test_a_step_does_not_inherit_the_peak_of_the_one_before() -> None:
    with Meter() as large:
        filled(200)
    with Meter() as small:
        filled(20)
    assert large.cost().peak_memory_of == small.cost().peak_memory_of == "step"
    assert large.cost().peak_memory_bytes - large.cost().memory_before_bytes > 150 * MB
    assert small.cost().peak_memory_bytes - small.cost().memory_before_bytes < 100 * MB


@pytest.mark.usefixtures("resettable")
def test_a_step_inside_another_does_not_take_its_peak_away() -> None:
    with Meter() as outer:
        filled(200)
        with Meter() as inner:
            filled(20)
    assert outer.cost().peak_memory_bytes - inner.cost().peak_memory_bytes > 100 * MB
    with Meter() as outer:
        with Meter() as inner:
            filled(200)
        so_far = outer.cost().peak_memory_bytes
    assert outer.cost().peak_memory_bytes >= so_far >= inner.cost().peak_memory_bytes


def test_where_the_peak_can_not_be_reset_it_is_that_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(100)
    monkeypatch.setattr(resources, "_RESET", tmp_path / "none" / "clear_refs")
    with Meter() as meter:
        pass
    assert meter.cost().peak_memory_of == "process"
    monkeypatch.setattr(resources, "_STATUS", tmp_path / "status")
    with Meter() as meter:
        pass
    assert meter.cost().peak_memory_bytes > MB
    assert meter.cost().memory_before_bytes is None


def test_a_child_that_did_the_work_is_what_counts() -> None:
    def peak(megabytes: int) -> int:
        held = f"held = b'1' * ({megabytes} << 20); import time; time.sleep(0.3)"
        with Meter() as meter, resources.ChildrenPeak(0.01) as child:
            subprocess.run([sys.executable, "-c", held], check=True)
        meter.child(child.bytes)
        assert meter.cost().peak_memory_of == "child"
        return meter.cost().peak_memory_bytes

    assert 150 * MB < peak(200) - peak(10) < 220 * MB
    with resources.ChildrenPeak(0.01) as nobody:
        pass
    assert nobody.bytes == 0


def test_a_processor_has_no_memory_of_a_gpu_and_the_cost_grows_until_the_end() -> None:
    with Meter() as meter:
        first = meter.cost().seconds
        meter.scratch(5)
        meter.scratch(3)
        filled(5)
    assert meter.cost().gpu_memory_bytes is None
    assert meter.cost().scratch_bytes == 5
    assert 0 <= first <= meter.cost().seconds == meter.cost().seconds


def cost(seconds: float, **others: object) -> Cost:
    return Cost(**{"seconds": seconds, "peak_memory_bytes": 10, "peak_memory_of": "step", **others})


def test_a_step_that_was_cut_off_costs_both_parts() -> None:
    first = cost(2.5, joules=30.0, joules_by="rapl", memory_before_bytes=4, gpu_memory_bytes=9, scratch_bytes=1)
    later = cost(1.5, joules=12.0, joules_by="rapl", memory_before_bytes=6, peak_memory_bytes=8, scratch_bytes=2)
    whole = first.then(later)
    assert (whole.seconds, whole.joules, whole.joules_by, whole.joules_absent) == (4.0, 42.0, "rapl", None)
    assert (whole.peak_memory_bytes, whole.peak_memory_of, whole.memory_before_bytes) == (10, "step", 4)
    assert (whole.gpu_memory_bytes, whole.scratch_bytes) == (9, 2)
    assert first.then(cost(1, peak_memory_of="process")).peak_memory_of == "process"


def test_joules_that_were_not_counted_throughout_are_not_given() -> None:
    counted, other = cost(1, joules=3.0, joules_by="rapl"), cost(1, joules=3.0, joules_by="nvml")
    blind = cost(1, joules_absent="no RAPL")
    for pair in ((counted, blind), (blind, counted)):
        whole = pair[0].then(pair[1])
        assert (whole.joules, whole.joules_by, whole.joules_absent) == (None, None, "no RAPL")
    mixed = counted.then(other)
    assert (mixed.joules, mixed.joules_by) == (None, None)
    assert "by rapl until it was cut off and by nvml after" in mixed.joules_absent


def test_a_meter_that_goes_on_adds_what_was_spent_before() -> None:
    with Meter() as meter:
        meter.go_on_from(cost(1000.0, peak_memory_bytes=2**50))
    assert meter.cost().seconds >= 1000
    assert meter.cost().peak_memory_bytes == 2**50
