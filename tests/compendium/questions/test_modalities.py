"""Four arms on sets of any modality: equal compute, nothing twice, and nothing said without sensitivity."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from compendium.cli import kept
from compendium.figures.beyond import probe_scores
from compendium.figures.style import alt
from compendium.questions import modalities, probes
from meddel import evidence, select, study
from meddel.config import Run
from meddel.images import index
from tests.meddel.study_cases import draw_data

SIDE, SEEN = 16, 64


def written(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


def test_all_arms_are_trained_equally_and_scored_once(tiny: Run) -> None:
    sets = probes.other_modalities(tiny, SIDE)
    table = modalities.scores(tiny, sets, ratio=0.25, images_seen=SEEN, seeds=[0, 1])
    assert list(table) == modalities.COLUMNS
    arms = {("none", 0.0), ("all", 1.0), ("random", 0.25), ("meddel", 0.25)}
    for _, part in table.groupby(["set", "seed"]):
        assert set(zip(part.selector, part.ratio, strict=True)) == arms
    assert table.auc.between(0, 1).all()
    folder = tiny.out / "questions" / "modalities"
    histories = sorted(folder.rglob("history.parquet"))
    assert len(histories) == len(sets) * 2 * 3
    assert {pq.read_table(path)["images"].to_pylist()[-1] for path in histories} == {SEEN}
    kept = len(sets[0].split(0)[0])
    provenance = (folder / "busi" / "seed-0" / "meddel-0.25" / "encoder.safetensors.json").read_text()
    assert f'"images": {select.budget_for(0.25, kept)}' in provenance
    before = written(tiny.out)
    again = modalities.scores(tiny, sets, ratio=0.25, images_seen=SEEN, seeds=[0, 1])
    pd.testing.assert_frame_equal(again, table)
    assert written(tiny.out) == before
    figure = probe_scores(table)
    assert len(figure.axes) == len(sets)
    assert "busi, none 100.0" in alt(figure)


def test_a_probe_finds_what_is_there_and_nothing_in_noise(tiny: Run) -> None:
    data = probes.other_modalities(tiny, SIDE)[0]
    train, test = data.split(0)
    signal = np.eye(3)[data.labels] + np.random.default_rng(0).normal(0, 0.05, (len(data.labels), 3))
    assert probes.probe(signal, data.labels, train, test) == pytest.approx(1)
    chances = [
        probes.probe(np.random.default_rng(seed).normal(size=(len(data.labels), 3)), data.labels, train, test)
        for seed in range(30)
    ]
    assert np.mean(chances) == pytest.approx(0.5, abs=0.08)


def scores(gain: float, meddel: float, seeds: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    effects = {"none": (0, 0.0), "all": (1, gain), "random": (0.2, gain), "meddel": (0.2, gain + meddel)}
    rows = [
        ("skin", "dermoscopy", name, ratio, seed, 0.6 + effect + rng.normal(0, 0.003))
        for seed in range(seeds)
        for name, (ratio, effect) in effects.items()
    ]
    return pd.DataFrame(rows, columns=modalities.COLUMNS)


def test_differences_are_paired_by_seed() -> None:
    table = scores(gain=0.1, meddel=0.02)
    found = modalities.differences(table).set_index(["selector", "against"])
    wide = table.pivot(index="seed", columns="selector", values="auc")
    gap = wide.meddel - wide.random
    row = found.loc[("meddel", "random")]
    assert (row.difference, row.low, row.high) == pytest.approx((gap.mean(), *evidence.interval(gap)))
    assert set(found.index) == {
        ("all", "none"), ("random", "all"), ("random", "none"),
        ("meddel", "random"), ("meddel", "all"), ("meddel", "none"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("gain", "meddel", "seeds", "said"),
    [
        (0.1, 0.05, 5, modalities.BEATS),
        (0.1, -0.05, 5, modalities.LOSES),
        (0.1, 0.0, 5, modalities.EQUAL),
        (0.0, 0.05, 5, modalities.UNKNOWN),
        (-0.1, 0.05, 5, modalities.UNKNOWN),
        (0.1, 0.05, 1, modalities.UNKNOWN),
    ],
)
def test_nothing_is_said_of_selectors_without_sensitivity(gain: float, meddel: float, seeds: int, said: str) -> None:
    assert modalities.verdicts(scores(gain, meddel, seeds)).answer.tolist() == [said]


def test_a_set_with_masks_of_another_modality_has_a_study_of_its_own(tiny: Run) -> None:
    run = probes.masked_studies(tiny)["isic2017"]
    assert index.roles(study.study_index(run)) == ([], ["isic2017"])
    final = evidence.final_scores(study.run_study(run))
    assert set(final.selector) >= {"none", "all", "random", "meddel"}
    found = modalities.study_verdicts(final, "dermoscopy")
    assert found["set"].tolist() == ["isic2017, probe at 50%"]
    assert found.answer.tolist() == [modalities.UNKNOWN], "one seed has no interval"


def test_a_ledger_holds_the_study_of_another_modality_too(tiny: Run, modalities_folder: Path, tmp_path: Path) -> None:
    data, folder = draw_data(tmp_path / "data"), tmp_path / "cells"
    shutil.copytree(modalities_folder / "isic2017", data / "isic2017")
    first, again = (tiny.model_copy(update={"data": data, "out": tmp_path / name}) for name in ("first", "again"))
    with kept(first, folder):
        table = study.run_study(probes.masked_studies(first)["isic2017"])
    assert (folder / "isic2017" / "seed-0.json").is_file()
    with kept(again, folder):
        assert study.run_study(probes.masked_studies(again)["isic2017"]).equals(table)
    assert not list(again.out.rglob("*.safetensors"))
    with kept(again, None):
        pass
