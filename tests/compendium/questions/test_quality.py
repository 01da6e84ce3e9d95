"""Faults in known doses, and slopes that find an effect that is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from compendium.figures import beyond as figures
from compendium.figures.style import alt
from compendium.questions import probes, quality
from meddel import wording
from meddel.config import Run
from meddel.errors import MedDELError

SIDE, SEEN = 16, 64


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def spoil(images: np.ndarray, kind: str, dose: float, seed: int = 0) -> np.ndarray:
    return quality.damaged(images, kind, dose, np.random.default_rng(seed), np.zeros((3, *images.shape[1:]), np.uint8))


@pytest.mark.parametrize("kind", quality.KINDS)
def test_a_dose_spoils_its_share_and_nothing_else(images: np.ndarray, kind: str) -> None:
    before = images.copy()
    changed = {}
    for dose in (0.0, 0.25, 0.5, 1.0):
        result = spoil(images, kind, dose)
        assert result.shape == images.shape and result.dtype == np.uint8
        changed[dose] = set(np.flatnonzero((result != images).any(axis=(1, 2, 3))).tolist())
    assert (images == before).all()
    assert [len(changed[dose]) for dose in (0.0, 0.25, 0.5)] == [0, 10, 20]
    assert len(changed[1.0]) == (39 if kind == "repeats" else 40)
    assert changed[0.25] < changed[0.5] <= changed[1.0], "doses are nested"
    assert (spoil(images, kind, 0.5) == spoil(images, kind, 0.5)).all()
    assert (spoil(images, kind, 0.5) != spoil(images, kind, 0.5, seed=1)).any()


def test_repeats_leave_copies_of_the_others(images: np.ndarray) -> None:
    for dose in (0.25, 0.5, 1.0):
        distinct = np.unique(spoil(images, "repeats", dose).reshape(40, -1), axis=0)
        assert len(distinct) == max(40 - round(40 * dose), 1)
        assert {row.tobytes() for row in distinct} <= {image.tobytes() for image in images.reshape(40, -1)}


def test_faults_do_what_they_are_called(images: np.ndarray) -> None:
    def edges(pictures: np.ndarray) -> float:
        return float(np.abs(np.diff(pictures.astype(int), axis=1)).mean())

    assert edges(spoil(images, "blur", 1)) < edges(images) < edges(spoil(images, "noise", 1))
    assert (spoil(images, "foreign", 1) == 0).all()


@pytest.mark.parametrize(
    ("kind", "dose", "said"),
    [("dirt", 0.5, "unknown fault"), ("blur", 1.5, "outside"), ("foreign", 0.5, "no images of")],
)
def test_wrong_faults_and_doses_are_refused(images: np.ndarray, kind: str, dose: float, said: str) -> None:
    with pytest.raises(MedDELError, match=said):
        quality.damaged(images, kind, dose, np.random.default_rng(0))


def written(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


def test_both_domains_are_treated_alike_and_nothing_is_computed_twice(tiny: Run) -> None:
    domains = probes.domains(tiny, SIDE)
    settings = {"doses": (1.0,), "images_seen": SEEN, "pool": 16, "seeds": (0, 1)}
    table = quality.scores(tiny, domains, **settings)
    jobs = {(quality.NONE, 0.0), (quality.CLEAN, 0.0), *((kind, 1.0) for kind in quality.KINDS)}
    for _, part in table.groupby(["domain", "seed"]):
        assert set(zip(part.kind, part.dose, strict=True)) == jobs
    sizes = {
        path.read_text().split('"images": ')[1].split(",")[0] for path in tiny.out.rglob("encoder.safetensors.json")
    }
    assert len(sizes) == 1, "pools are equally large"
    before = written(tiny.out)
    pd.testing.assert_frame_equal(quality.scores(tiny, domains, **settings), table)
    assert written(tiny.out) == before
    alone = quality.scores(tiny, {quality.MEDICAL: domains[quality.MEDICAL]}, **settings)
    assert "foreign" not in set(alone.kind)
    assert quality.answers(alone).empty


def responses(medical: float, natural: float, gain: float = 0.1, seeds: int = 4) -> pd.DataFrame:
    """Scores whose slopes are known."""
    rng = np.random.default_rng(0)
    rows = []
    for domain, slope in ((quality.MEDICAL, medical), (quality.NATURAL, natural)):
        for seed in range(seeds):
            for kind, dose in ((quality.NONE, 0.0), (quality.CLEAN, 0.0), ("blur", 0.5), ("blur", 1.0), ("noise", 1.0)):
                value = 0.8 + slope * dose - gain * (kind == quality.NONE) + rng.normal(0, 0.002)
                rows.append((domain, domain, kind, dose, seed, value))
    return pd.DataFrame(rows, columns=quality.COLUMNS)


def test_slopes_and_their_difference_are_found() -> None:
    table = responses(medical=-0.08, natural=-0.02)
    slopes = quality.slopes(table).set_index(["domain", "kind"])
    assert slopes.slope[quality.MEDICAL, "blur"] == pytest.approx(-0.08, abs=0.005)
    assert slopes.slope[quality.NATURAL, quality.ALL_KINDS] == pytest.approx(-0.02, abs=0.005)
    found = quality.answers(table).set_index("fault")["medical - natural"]
    assert list(found.index) == ["blur", "noise", quality.ALL_KINDS]
    own = quality.seed_slopes(table).query("kind == 'blur'")
    sides = [own.slope[own.domain == domain] for domain in (quality.MEDICAL, quality.NATURAL)]
    low, high = stats.ttest_ind(*sides, equal_var=False).confidence_interval()
    assert found["blur"] == wording.points(sides[0].mean() - sides[1].mean(), low, high)


@pytest.mark.parametrize(
    ("medical", "natural", "gain", "seeds", "said"),
    [
        (-0.08, -0.02, 0.1, 4, "costs more in medical images"),
        (-0.02, -0.08, 0.1, 4, "costs more in natural images"),
        (-0.05, -0.05, 0.1, 4, "no difference beyond the interval"),
        (-0.08, -0.02, 0.0, 4, "not testable at this scale"),
        (-0.08, -0.02, 0.1, 1, "not testable at this scale"),
    ],
)
def test_answers_need_domains_that_notice_pretraining(
    medical: float, natural: float, gain: float, seeds: int, said: str
) -> None:
    assert set(quality.answers(responses(medical, natural, gain, seeds)).answer) == {said}


def test_the_figure_holds_every_fault_and_both_domains() -> None:
    table = responses(medical=-0.08, natural=-0.02)
    drawn = figures.dose_response(table)
    assert [axis.get_title(loc="left") for axis in drawn.axes] == ["blur", "noise"]
    assert "medical, blur -8." in alt(drawn) and "natural, mean of faults -" in alt(drawn)
    with pytest.raises(MedDELError, match="no fault"):
        figures.dose_response(table.query("kind == 'clean'"))
