"""Joules are counted from power domains as Linux shows them and from NVML, or absent with a reason."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from meddel import energy
from meddel.errors import MedDELError

RANGE = 262_143_328_850


class Domains:
    """A folder of power domains in the layout of /sys/class/powercap, whose counters the test advances."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.counts: dict[str, int] = {}

    def add(self, folder: str, name: str, count: int = 0, limit: int = RANGE) -> None:
        (self.root / folder).mkdir(parents=True)
        (self.root / folder / "name").write_text(f"{name}\n")
        (self.root / folder / "max_energy_range_uj").write_text(f"{limit}\n")
        self.counts[folder] = count
        self.advance(folder, 0)

    def advance(self, folder: str, microjoules: int) -> None:
        limit = int((self.root / folder / "max_energy_range_uj").read_text())
        self.counts[folder] = (self.counts[folder] + microjoules) % limit
        fresh = self.root / folder / "energy_uj.new"  # a counter is never seen half-written
        fresh.write_text(f"{self.counts[folder]}\n")
        fresh.replace(self.root / folder / "energy_uj")


@pytest.fixture
def domains(tmp_path: Path) -> Domains:
    """Two packages, with what a machine shows besides: the control type, sub-domains, the platform, and a mirror."""
    made = Domains(tmp_path / "powercap")
    (made.root / "intel-rapl").mkdir(parents=True)
    (made.root / "intel-rapl" / "enabled").write_text("1\n")
    made.add("intel-rapl:0", "package-0", 5_000_000)
    made.add("intel-rapl:0:0", "core", 4_000_000)
    made.add("intel-rapl:0:1", "dram", 1_000_000)
    made.add("intel-rapl:1", "package-1", 7_000_000)
    made.add("intel-rapl:2", "psys", 20_000_000)
    made.add("intel-rapl-mmio:0", "package-0", 5_000_000)
    return made


def test_packages_are_added_and_nothing_is_counted_twice(domains: Domains) -> None:
    with energy.EnergyMeter(powercap=domains.root) as meter:
        assert meter.energy() == (0.0, "rapl", None)
        for folder in domains.counts:
            domains.advance(folder, 3_000_000)
        assert meter.energy().joules == pytest.approx(6)
        domains.advance("intel-rapl:1", 500_000)
    assert meter.energy() == (pytest.approx(6.5), "rapl", None)
    domains.advance("intel-rapl:0", 9_000_000)
    assert meter.energy().joules == pytest.approx(6.5), "what comes after the block is not its cost"


def test_a_counter_may_wrap_any_number_of_times_if_it_is_read_in_between(domains: Domains) -> None:
    with energy.EnergyMeter(powercap=domains.root) as meter:
        for _ in range(5):
            domains.advance("intel-rapl:0", RANGE // 2)
            meter.energy()
    assert meter.energy().joules == pytest.approx(5 * (RANGE // 2) / 1e6)


def test_a_thread_reads_what_may_wrap(domains: Domains, monkeypatch: pytest.MonkeyPatch) -> None:
    real, reads = energy.advance, threading.Semaphore(0)

    def counted(*arguments: int) -> int:
        reads.release()
        return real(*arguments)

    monkeypatch.setattr(energy, "advance", counted)
    before = threading.active_count()
    with energy.EnergyMeter(powercap=domains.root, poll_seconds=0.001) as meter:
        for _ in range(3):
            domains.advance("intel-rapl:0", RANGE // 2)
            for _ in range(6):  # two packages a reading, and the next reading but one has seen the change for sure
                assert reads.acquire(timeout=60)
            while reads.acquire(blocking=False):
                pass
    assert meter.energy().joules == pytest.approx(3 * (RANGE // 2) / 1e6)
    assert threading.active_count() == before


def test_what_can_not_be_counted_is_none_with_the_reason(tmp_path: Path, domains: Domains) -> None:
    def measured(powercap: Path) -> energy.Energy:
        with energy.EnergyMeter(powercap=powercap) as meter:
            pass
        return meter.energy()

    assert measured(tmp_path / "none") == (None, None, f"no RAPL: No such file or directory ({tmp_path / 'none'})")
    (tmp_path / "empty" / "intel-rapl").mkdir(parents=True)
    assert measured(tmp_path / "empty") == (None, None, f"no RAPL: no processor package ({tmp_path / 'empty'})")
    counter = domains.root / "intel-rapl:1" / "energy_uj"
    counter.unlink()
    assert measured(domains.root) == (None, None, f"no RAPL: No such file or directory ({counter})")
    counter.write_text("many\n")
    assert measured(domains.root).absent.startswith("no RAPL: invalid literal")


def test_a_counter_that_is_for_root_only_is_absent(domains: Domains) -> None:
    counter = domains.root / "intel-rapl:0" / "energy_uj"
    counter.chmod(0)
    try:
        counter.read_text()
    except PermissionError:
        with energy.EnergyMeter(powercap=domains.root) as meter:
            pass
        assert meter.energy() == (None, None, f"no RAPL: Permission denied ({counter})")
    else:
        pytest.skip("this user may read everything")


def test_a_counter_that_vanishes_on_the_way_leaves_no_number(domains: Domains) -> None:
    with energy.EnergyMeter(powercap=domains.root) as meter:
        domains.advance("intel-rapl:0", 3_000_000)
        assert meter.energy().joules == pytest.approx(3)
        (domains.root / "intel-rapl:0" / "energy_uj").unlink()
    found = meter.energy()
    assert (found.joules, found.by) == (None, None)
    assert "energy_uj" in found.absent


def test_a_counter_that_went_back_is_refused_unless_it_wraps() -> None:
    assert energy.advance(7, 9, None) == 2
    assert energy.advance(7, 9, 10) == 2
    assert energy.advance(9, 2, 10) == 3
    with pytest.raises(MedDELError, match="went back from 9 to 2"):
        energy.advance(9, 2, None)


def has_nvml() -> bool:
    try:
        energy.nvml("cuda")
    except MedDELError:
        return False
    return True


@pytest.mark.skipif(has_nvml(), reason="has a GPU that counts")
def test_without_nvml_a_gpu_is_not_counted_at_all(domains: Domains) -> None:
    with pytest.raises(MedDELError, match="NVML"):
        energy.nvml("cuda")
    with energy.EnergyMeter("cuda", powercap=domains.root) as meter:
        domains.advance("intel-rapl:0", 3_000_000)
    found = meter.energy()
    assert (found.joules, found.by) == (None, None), "the processor alone would pass for the whole"
    assert "NVML" in found.absent


@pytest.mark.skipif(not has_nvml(), reason="needs a GPU that counts")
def test_a_gpu_is_counted_by_nvml_and_its_processor_by_rapl(domains: Domains) -> None:
    counter = energy.nvml("cuda")
    before = counter.read()
    with energy.EnergyMeter("cuda", powercap=domains.root) as meter:
        domains.advance("intel-rapl:0", 3_000_000)
    assert meter.energy().by == "nvml+rapl"
    assert 3 <= meter.energy().joules <= 3 + counter.unit * (counter.read() - before)


def test_millijoules_of_two_counters_add_up_with_microjoules(domains: Domains, monkeypatch: pytest.MonkeyPatch) -> None:
    board = [1_000]
    monkeypatch.setattr(energy, "nvml", lambda _: energy.Counter("nvml", lambda: board[0], 1e-3))
    with energy.EnergyMeter("cuda:0", powercap=domains.root) as meter:
        board[0] += 2_500
        domains.advance("intel-rapl:0", 1_000_000)
    assert meter.energy() == (pytest.approx(3.5), "nvml+rapl", None)
    with energy.EnergyMeter("cuda:0", powercap=domains.root / "none") as meter:
        board[0] += 2_500
    assert meter.energy() == (pytest.approx(2.5), "nvml", None)


def test_measuring_on_a_processor_loads_no_library_for_gpus() -> None:
    code = "import sys; from meddel import artefacts; print(*({'pynvml', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
