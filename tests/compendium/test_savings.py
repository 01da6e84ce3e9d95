"""The bill of a selection on a tiny run that is really computed, and where it is paid for by rates that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from compendium import figures, published, savings
from meddel import config, select, study
from meddel.errors import MedDELError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> config.Run:
    """One seed, one ratio, on forty images of very different file sizes and twelve with masks."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for source, count in (("a", 20), ("b", 20), ("polyps", 12)):
        images = folder / source / "images" if source == "polyps" else folder / source
        images.mkdir(parents=True)
        for number in range(count):
            noise = rng.integers(0, 1 + 12 * number, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(noise).save(images / f"{number:02d}.png")
    (folder / "polyps" / "masks").mkdir()
    for number in range(12):
        mask = np.zeros((32, 32), np.uint8)
        mask[8:24, 8 : 12 + number] = 255
        Image.fromarray(mask).save(folder / "polyps" / "masks" / f"{number:02d}.png")
    profile = config.Profile(
        name="smoke", ratios=(0.2,), seeds=1, pool_downstream_train=False,
        encoder=config.EncoderConfig(image_size=32, patch_size=16, width=16, depth=1, heads=2),
        pretrain=config.PretrainConfig(images_seen=32, batch=8, decoder_width=16, decoder_depth=1),
        segment=config.SegmentConfig(epochs=1, hidden=8),
    )  # fmt: skip
    made = config.Run(profile=profile, data=folder, out=tmp_path_factory.mktemp("out"))
    study.run_study(made)
    study.run_study(made, study.shorter_cells(made))
    return made


def test_storage_weighs_the_files_that_are_kept(run: config.Run) -> None:
    table = savings.storage(run).set_index("selector")
    pool = study.pool(run, 0).index
    sizes = np.array([Path(path).stat().st_size for path in pool["path"].to_pylist()])
    assert sizes.max() > 2 * sizes.min(), "equal files would not tell images from bytes"
    assert table.bytes["all"] == sizes.sum()
    for selector in ("random", "meddel"):
        kept = study.selection(run, study.Cell(selector=selector, ratio=0.2, seed=0))["kept"].to_numpy()
        assert table.images[selector] == kept.sum() == select.budget_for(0.2, 40) == 8
        assert table.bytes[selector] == sizes[kept].sum()
        assert table.byte_share[selector] == pytest.approx(sizes[kept].sum() / sizes.sum())
        assert table.image_share[selector] == pytest.approx(0.2)
    assert "none" not in table.index


def test_file_bytes_name_a_file_that_is_gone(run: config.Run) -> None:
    pool = study.pool(run, 0).index
    gone = pool.set_column(pool.schema.get_field_index("path"), "path", [["/nowhere/x.png"] * pool.num_rows])
    with pytest.raises(MedDELError, match=r"gone.*x\.png"):
        savings.file_bytes(gone)


def test_meddel_pays_for_its_embeddings_and_random_does_not(run: config.Run) -> None:
    steps = savings.computing(run)
    needed = steps.groupby(["selector", "compute"]).step.apply(set)
    assert needed["all", 1.0] == {"pre-training"}
    assert needed["random", 1.0] == {"selection", "pre-training"}
    assert needed["meddel", 1.0] == needed["meddel", 0.5] == set(savings.STEPS)
    assert (steps.seconds >= 0).all() and (steps.peak_memory_bytes > 1e6).all()
    assert (steps.added_memory_bytes.isna() == (steps.peak_memory_of == "process")).all()
    assert (steps.joules.isna() == steps.joules_by.isna()).all()
    assert (steps.joules.isna() == steps.joules_absent.notna()).all(), "joules, or the reason why not"
    assert "none" not in set(steps.selector)


def test_ready_made_embeddings_need_no_pretraining_of_the_pool(run: config.Run) -> None:
    hub = run.model_copy(update={"profile": run.profile.model_copy(update={"embedder": "hub"})})
    steps = savings.computing(hub, [study.Cell(selector="meddel", ratio=0.2, seed=0)])
    assert set(steps.step) == set(savings.STEPS) - {"whole-pool pre-training"}


def test_computing_names_what_is_not_finished(run: config.Run) -> None:
    with pytest.raises(MedDELError, match=r"pre-training of meddel-0\.3 is not finished"):
        savings.computing(run, [study.Cell(selector="meddel", ratio=0.3, seed=0)])


def test_seconds_add_up_over_steps_and_average_over_seeds() -> None:
    columns = ["seed", "selector", "ratio", "compute", "step", "seconds"]
    rows = [
        *((seed, "all", 1.0, 1.0, "pre-training", 10.0 + seed) for seed in (0, 1)),
        *((seed, "meddel", 0.2, 0.5, "pre-training", 5.0) for seed in (0, 1)),
        *((seed, "meddel", 0.2, 0.5, "whole-pool pre-training", 10.0 + seed) for seed in (0, 1)),
        *((seed, "meddel", 0.2, 0.5, "selection", 1.0) for seed in (0, 1)),
    ]
    table = savings.seconds_from_nothing(pd.DataFrame(rows, columns=columns)).set_index("selector")
    assert table.total.to_dict() == {"all": 10.5, "meddel": 16.5}
    assert table.of_all["meddel"] == pytest.approx(16.5 / 10.5)
    assert table.embedding.tolist() == [0.0, 0.0]


def test_computing_figure_names_every_encoder(run: config.Run) -> None:
    totals = savings.seconds_from_nothing(savings.computing(run))
    alt = figures.alt(savings.draw_seconds(totals))
    for name in ("all images", "random, 20 %", "MedDEL, 20 %", "MedDEL, 20 %, 50 % of the steps"):
        assert f"{name} " in alt


def test_selecting_and_training_need_disk_for_different_things(run: config.Run) -> None:
    table = savings.bytes_on_disk(run, study.cells(run)).set_index(["selector", "part", "item"]).bytes
    training = {"images kept", "decoded pixels", "checkpoint", "weights"}
    assert set(table["all"].index) == {("training", item) for item in training}
    assert set(table["random"]["selection"].index) == {"images of the pool", "selection"}
    assert set(table["meddel"]["selection"].index) == {
        *("images of the pool", "selection", "embedding store", "encoder that embeds")
    }
    held = savings.storage(run).set_index("selector")
    assert table["meddel", "training", "images kept"] == held.bytes["meddel"]
    assert table["meddel", "selection", "images of the pool"] == held.bytes["all"]
    assert table["meddel", "training", "decoded pixels"] == 8 * 32 * 32 * 3
    assert table["all", "training", "decoded pixels"] == 40 * 32 * 32 * 3
    assert table["meddel", "selection", "embedding store"] > 40 * run.profile.encoder.width * 2
    weights, checkpoint = table["all", "training", "weights"], table["all", "training", "checkpoint"]
    assert checkpoint > 3 * weights, "a checkpoint holds the decoder and the optimiser's two moments as well"


def test_selecting_and_training_add_up_to_the_whole(run: config.Run) -> None:
    steps = savings.computing(run)
    parts, arms = savings.apart(steps), ["selector", "ratio", "compute"]
    whole = savings.seconds_from_nothing(steps).set_index(arms).total
    pd.testing.assert_series_equal(parts.groupby(arms).seconds.sum(), whole, check_names=False)
    assert set(parts[parts.selector == "all"].part) == {"training"}
    of_meddel = steps[(steps.selector == "meddel") & (steps.compute == 1)].set_index("step")
    selecting = parts.query("selector == 'meddel' and compute == 1 and part == 'selection'").iloc[0]
    assert selecting.peak_memory_bytes == of_meddel.loc[list(savings.STEPS[:3])].peak_memory_bytes.max()


def test_joules_of_a_part_are_unknown_if_those_of_one_step_are() -> None:
    columns = ["seed", "selector", "ratio", "compute", "step", "seconds", "joules"]
    rows = [
        *((seed, "meddel", 0.2, 1.0, "embedding", 1.0 + seed, 5.0) for seed in (0, 1)),
        *((seed, "meddel", 0.2, 1.0, "selection", 2.0, 7.0 if seed else np.nan) for seed in (0, 1)),
        *((seed, "meddel", 0.2, 1.0, "pre-training", 9.0, 30.0 + seed) for seed in (0, 1)),
    ]
    steps = pd.DataFrame(rows, columns=columns).assign(peak_memory_bytes=1, added_memory_bytes=np.nan)
    steps = steps.assign(gpu_memory_bytes=np.nan)
    parts = savings.apart(steps).set_index("part")
    assert np.isnan(parts.joules["selection"]) and parts.joules["training"] == 30.5
    assert parts.seconds.to_dict() == {"selection": 3.5, "training": 9.0}
    assert parts.low["selection"] < 3.5 < parts.high["selection"]
    again = savings.apart(steps[steps.seed == 1]).set_index("part")
    assert again.joules["selection"] == 12
    assert np.isnan(again.low["selection"])


def steps_of(seed: int = 0, embedding: float = 30.0) -> pd.DataFrame:
    """A pre-training takes 100 s, choosing 2 s and embedding as given."""
    costs = {"embedding": embedding, "selection": 2.0, "pre-training": 100.0, "whole-pool pre-training": 100.0}
    rows = [(seed, "meddel", ratio, 1.0, step, cost) for ratio in (0.05, 0.5) for step, cost in costs.items()]
    rows.append((seed, "all", 1.0, 1.0, "pre-training", 100.0))
    return pd.DataFrame(rows, columns=["seed", "selector", "ratio", "compute", "step", "seconds"])


def test_selecting_with_an_encoder_of_ones_own_needs_more_than_one_pretraining() -> None:
    found = pd.concat([steps_of(seed, 30 + seed) for seed in range(3)])
    table = savings.reuses(found).set_index(["ratio", "way"])
    for ratio in (0.05, 0.5):
        own, ready = table.loc[ratio, savings.OWN], table.loc[ratio, savings.READY]
        assert ready.trainings == pytest.approx(33 / (100 * (1 - ratio)))
        assert own.trainings == pytest.approx(ready.trainings + 1 / (1 - ratio))
        assert own.low < own.trainings < own.high
        assert own.whole == np.ceil(own.trainings) >= 2
    assert table.whole[0.05, savings.READY] == 1
    single = savings.reuses(steps_of())
    assert single.low.isna().all()
    uncounted = savings.reuses(found.assign(joules=np.nan), "joules")
    assert uncounted[["trainings", "whole"]].isna().all(axis=None)
    with pytest.raises(MedDELError, match="no steps of MedDEL"):
        savings.reuses(found[found.selector == "all"])


def test_a_day_of_frames_at_the_size_of_real_files(run: config.Run) -> None:
    pool = study.pool(run, 0).index
    table = savings.storage_of_a_day(pool).set_index(["what", "unit"])
    rate = savings.file_bytes(pool).sum() / (40 * 32 * 32)
    assert table.ours["bytes a pixel", "B"] == pytest.approx(rate)
    ours, raw = table.ours["a day's frames", "TiB"], table.arithmetic["a day's frames", "TiB"]
    assert ours / raw == pytest.approx(rate / 3)
    assert raw * 2**40 == pytest.approx(published.storage_bytes())
    assert (table.low <= table.ours).all() and (table.ours <= table.high).all()
    assert table.published["a day's frames", "TiB"] / raw == pytest.approx(100, rel=0.01)


def test_hours_of_a_day_at_the_rates_of_this_machine(run: config.Run) -> None:
    steps = savings.computing(run)
    table = savings.hours_of_a_day(run, steps).set_index("what")
    embedding = steps.query("selector == 'meddel' and compute == 1 and step == 'embedding'").seconds.iloc[0]
    frames = published.numbers()["frames_per_day"]
    assert table.ours["one pass over a day"] == pytest.approx(frames / (40 / embedding) / 3600)
    assert table.arithmetic["one pass over a day"] == pytest.approx(table.published["one pass over a day"], rel=0.005)
    assert table.ours["saved, choosing by embeddings"] < 0, "what is saved is one forward pass over less than all"
