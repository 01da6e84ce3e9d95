"""The bill of a selection, on a tiny run that is really computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meddel import config, figures, savings, selectors, study
from meddel.errors import MedDELError
from meddel.figures.computing import computing as computing_figure


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
        assert table.images[selector] == kept.sum() == selectors.budget_for(0.2, 40) == 8
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
    assert "none" not in set(steps.selector)


def test_ready_made_embeddings_need_no_pretraining_of_the_pool(run: config.Run) -> None:
    hub = run.model_copy(update={"profile": run.profile.model_copy(update={"embedder": "hub"})})
    steps = savings.computing(hub, [study.Cell(selector="meddel", ratio=0.2, seed=0)])
    assert set(steps.step) == set(savings.STEPS) - {"whole-pool pre-training"}


def test_computing_names_what_is_not_finished(run: config.Run) -> None:
    with pytest.raises(MedDELError, match=r"selection of meddel-0\.3 is not finished"):
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
    alt = figures.alt(computing_figure(totals))
    for name in ("all images", "random, 20 %", "MedDEL, 20 %", "MedDEL, 20 %, 50 % of the steps"):
        assert f"{name} " in alt
