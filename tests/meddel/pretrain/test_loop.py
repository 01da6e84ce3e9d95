"""Pre-training: equal compute at every ratio, runs that resume to the same bytes, views that are what they say."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Generator

from meddel import artefacts, encoder
from meddel.config import EncoderConfig, PretrainConfig
from meddel.errors import MedDELError
from meddel.pretrain import pretrain, schedule
from meddel.pretrain.augment import MAE as MAE_VIEWS
from meddel.pretrain.augment import SIMCLR, Augmentation, augment
from meddel.pretrain.mae import MAE
from meddel.pretrain.optimise import learning_rate
from meddel.pretrain.order import batch_bounds, image_order

ENCODER = EncoderConfig(image_size=32, patch_size=8, width=24, depth=2, heads=2)
METHODS = ("simclr", "mae")


def settings(method: str = "simclr", **changes: object) -> PretrainConfig:
    values = {"method": method, "images_seen": 96, "batch": 16, "lr": 2e-3, "decoder_width": 32, "decoder_depth": 1}
    return PretrainConfig(**{**values, **changes})


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (80, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


class Interrupted(Exception):
    """Stands for the kill."""


@pytest.mark.parametrize(
    ("method", "kept"), [("mae", 1), ("mae", 17), ("mae", 80), ("simclr", 3), ("simclr", 17), ("simclr", 80)]
)
def test_images_seen_are_the_same_at_every_ratio(images, tmp_path, method, kept):
    config = settings(method, images_seen=50)
    pretrain(images, np.arange(kept), ENCODER, config, 0, tmp_path)
    history = pq.read_table(tmp_path / "history.parquet").to_pydict()
    assert history["images"][-1] == 50
    assert history["step"] == list(range(1, schedule(config, kept, 80).steps + 1))
    largest = max(np.diff([0, *history["images"]]))
    assert largest <= (min(16, kept) if method == "simclr" else 16)


def test_equal_epochs_shrink_with_the_subset():
    config = settings(equal="epochs", images_seen=8_000)
    assert schedule(config, 4, 80).images == 400
    assert schedule(config, 80, 80).images == 8_000


def test_the_rate_falls_with_a_batch_that_the_subset_can_not_fill():
    assert schedule(settings("simclr"), 4, 80).lr == pytest.approx(2e-3 * 4 / 16)
    assert schedule(settings("mae"), 4, 80).lr == pytest.approx(2e-3)


@pytest.mark.parametrize(("count", "seen", "batch"), [(10, 95, 7), (16, 160, 16), (33, 500, 32), (5, 23, 5)])
def test_no_image_is_twice_in_a_batch_and_all_are_seen_alike(count, seen, batch):
    order = image_order(count, seen, batch, seed=3)
    bounds = batch_bounds(seen, batch)
    for begin, end in itertools.pairwise(bounds):
        assert end - begin <= batch
        assert len(set(order[begin:end])) == end - begin
    assert np.ptp(np.bincount(order, minlength=count)) <= 1
    assert not np.array_equal(order, image_order(count, seen, batch, seed=4))


def test_rate_rises_then_follows_a_cosine_to_zero():
    rates = [learning_rate(step, 100, 1.0, 0.1) for step in range(101)]
    assert rates[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0.0)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[10:]))


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_falls(images, tmp_path, method):
    pretrain(images, np.arange(80), ENCODER, settings(method, images_seen=800, batch=16), 0, tmp_path)
    loss = pq.read_table(tmp_path / "history.parquet")["loss"].to_numpy()
    assert loss[-10:].mean() < 0.9 * loss[:3].mean()


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_ends_in_the_same_bytes(images, tmp_path, method):
    config = settings(method, checkpoint_seconds=1e-9)
    whole = pretrain(images, np.arange(30), ENCODER, config, 5, tmp_path / "whole")
    for stop in (2, 5):

        def kill(step: int, stop: int = stop) -> None:
            if step == stop:
                raise Interrupted

        with pytest.raises(Interrupted):
            pretrain(images, np.arange(30), ENCODER, config, 5, tmp_path / "killed", on_step=kill)
    resumed: list[int] = []
    killed = pretrain(images, np.arange(30), ENCODER, config, 5, tmp_path / "killed", on_step=resumed.append)
    assert resumed[0] > 3
    assert killed.read_bytes() == whole.read_bytes()
    assert (tmp_path / "killed/history.parquet").read_bytes() == (tmp_path / "whole/history.parquet").read_bytes()
    assert not (tmp_path / "killed/checkpoint.pt").exists()


def test_a_killed_run_pays_for_what_it_did_before(images, tmp_path):
    config, paid = settings(checkpoint_seconds=1e-9), []
    for stop in (2, 4):

        def kill(step: int, stop: int = stop) -> None:
            if step == stop:
                raise Interrupted

        with pytest.raises(Interrupted):
            pretrain(images, np.arange(30), ENCODER, config, 5, tmp_path, on_step=kill)
        paid.append(torch.load(tmp_path / "checkpoint.pt", weights_only=True)["cost"]["seconds"])
    made = artefacts.read_provenance(pretrain(images, np.arange(30), ENCODER, config, 5, tmp_path))
    assert 0 < paid[0] < paid[1] < made.seconds


def test_the_room_that_a_checkpoint_takes_is_known_without_one(images, tmp_path):
    sizes: list[int] = []

    def weigh(step: int) -> None:
        if (tmp_path / "with" / "checkpoint.pt").exists():
            sizes.append((tmp_path / "with" / "checkpoint.pt").stat().st_size)

    seldom, often = settings(), settings(checkpoint_seconds=1e-9)
    without = artefacts.read_provenance(pretrain(images, np.arange(30), ENCODER, seldom, 5, tmp_path / "without"))
    pretrain(images, np.arange(30), ENCODER, often, 5, tmp_path / "with", on_step=weigh)
    assert sizes
    assert without.scratch_bytes < sizes[-1] < 2 * without.scratch_bytes


def test_finished_work_is_not_done_twice_and_other_work_is(images, tmp_path):
    steps: list[int] = []
    arguments = (ENCODER, settings(), 0, tmp_path)
    weights = pretrain(images, np.arange(20), *arguments)
    pretrain(images, np.arange(20)[::-1], *arguments, on_step=steps.append)
    assert not steps
    assert artefacts.read_provenance(weights).seed == 0
    pretrain(images, np.arange(21), *arguments, on_step=steps.append)
    assert steps


def test_a_checkpoint_of_other_settings_is_not_taken(images, tmp_path):
    def kill(step: int) -> None:
        if step == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        pretrain(images, np.arange(20), ENCODER, settings(checkpoint_seconds=1e-9), 0, tmp_path, on_step=kill)
    steps: list[int] = []
    pretrain(images, np.arange(20), ENCODER, settings(lr=1e-3), 0, tmp_path, on_step=steps.append)
    assert steps[0] == 1


def test_weights_depend_on_the_seed_and_load_as_an_encoder(images, tmp_path):
    state = torch.get_rng_state()
    first, second = (
        pretrain(images, np.arange(20), ENCODER, settings(), seed, tmp_path / str(seed)) for seed in (0, 1)
    )
    assert first.read_bytes() != second.read_bytes()
    model, config = encoder.load(first)
    assert config == ENCODER
    start = encoder.build(ENCODER, 0)
    assert not torch.equal(model.blocks[0].attn.qkv.weight, start.blocks[0].attn.qkv.weight)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_memory_map_is_as_good_as_an_array(images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    one, two = (
        pretrain(pixels, np.arange(9), ENCODER, settings(), 0, tmp_path / name)
        for name, pixels in (("array", images), ("map", mapped))
    )
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        ([], {}, "no images"),
        ([1, 1], {}, "repeat"),
        ([80], {}, "outside"),
        ([5], {"method": "simclr"}, "two images"),
        ([1, 2], {"method": "mae", "mask_ratio": 0.99}, "mask ratio"),
    ],
)
def test_bad_input_is_refused(images, tmp_path, rows, changes, message):
    with pytest.raises(MedDELError, match=message):
        pretrain(images, np.array(rows, dtype=np.int64), ENCODER, settings(**changes), 0, tmp_path)


def test_images_of_another_size_are_refused(images, tmp_path):
    with pytest.raises(MedDELError, match="decode them"):
        pretrain(images[:, :16, :16], np.arange(4), ENCODER, settings(), 0, tmp_path)


def test_a_loss_that_is_not_finite_stops_the_run(images, tmp_path):
    with pytest.raises(MedDELError, match="not finite at step"):
        pretrain(images, np.arange(20), ENCODER, settings(lr=1e30, warmup=0.0), 0, tmp_path)
    assert not (tmp_path / "encoder.safetensors").exists()


def test_mae_rebuilds_patches_that_are_normalised_one_by_one():
    model = MAE(encoder.build(ENCODER, 0), settings("mae"))
    views = encoder.normalise(torch.from_numpy(np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), np.uint8)))
    asked = torch.arange(16).expand(5, -1)
    target = model.target(views, asked)
    torch.testing.assert_close(target.mean(dim=-1), torch.zeros(5, 16), atol=1e-5, rtol=0)
    torch.testing.assert_close(target.std(dim=-1), torch.ones(5, 16), atol=1e-4, rtol=0)
    torch.testing.assert_close(model.target(40 * views + 7, asked), target, atol=1e-4, rtol=0)
    torch.testing.assert_close(model.target(views, asked[:, 3:5]), target[:, 3:5])
    with torch.no_grad():  # whoever predicts nothing but each patch's mean has a loss of 1, at any contrast
        model.predict.weight.zero_()
        model.predict.bias.zero_()
        for contrast in (1, 8):
            noise = torch.randint(0, 256 // contrast, (64, 32, 32, 3), generator=Generator().manual_seed(0))
            loss = model(noise.to(torch.uint8), Generator().manual_seed(0))
            assert loss.item() == pytest.approx(1, abs=0.02)


def test_a_view_without_change_is_the_image():
    still = Augmentation(crop=(1.0, 1.0), aspect=(1.0, 1.0), flip=0.0)
    pixels = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8, generator=Generator().manual_seed(0))
    torch.testing.assert_close(augment(pixels, still, Generator()), encoder.normalise(pixels), atol=1e-5, rtol=0)
    mirrored = augment(pixels, Augmentation(crop=(1.0, 1.0), aspect=(1.0, 1.0), flip=1.0), Generator())
    torch.testing.assert_close(mirrored, encoder.normalise(pixels).flip(2, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("settings_", [MAE_VIEWS, SIMCLR])
def test_views_are_decided_by_the_generator_and_differ_between_images(settings_):
    pixels = torch.randint(0, 256, (1, 16, 16, 3), dtype=torch.uint8, generator=Generator().manual_seed(0))
    pixels = pixels.expand(6, -1, -1, -1)
    views = augment(pixels, settings_, Generator().manual_seed(1))
    assert torch.equal(views, augment(pixels, settings_, Generator().manual_seed(1)))
    assert all(not torch.equal(views[0], view) for view in views[1:])
    assert torch.isfinite(views).all()


def test_crops_stay_inside_the_image_and_keep_the_range():
    ramp = torch.arange(64, dtype=torch.uint8).view(1, 1, 64, 1).expand(32, 64, 64, 3)
    size = Augmentation(crop=(0.2, 0.3))
    white = encoder.normalise(torch.full_like(ramp, 63))[0, :, 0, 0].view(1, 3, 1, 1)
    black = encoder.normalise(torch.zeros_like(ramp))[0, :, 0, 0].view(1, 3, 1, 1)
    shares = (augment(ramp, size, Generator().manual_seed(2)) - black) / (white - black)
    assert shares.min() >= -1e-5 and shares.max() <= 1 + 1e-5
    spans = shares[:, 0].amax(dim=(1, 2)) - shares[:, 0].amin(dim=(1, 2))
    assert spans.max() < (0.3 * 4 / 3) ** 0.5 + 0.05


def test_grey_views_are_grey_and_blur_smooths():
    pixels = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8, generator=Generator().manual_seed(0))
    plain = {"crop": (1.0, 1.0), "aspect": (1.0, 1.0), "flip": 0.0}
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    grey = augment(pixels, Augmentation(**plain, grey=1.0), Generator().manual_seed(0)) * std + mean
    assert (grey - grey[:, :1]).abs().max() < 1e-5
    blurred = augment(pixels, Augmentation(**plain, blur=1.0, sigma=(0.05, 0.06)), Generator().manual_seed(0))
    assert blurred.var() < 0.5 * encoder.normalise(pixels).var()


def test_both_methods_keep_the_encoder_a_plain_vit(images, tmp_path: Path):
    fresh = set(encoder.build(ENCODER, 0).state_dict())
    for method in METHODS:
        weights = pretrain(images, np.arange(10), ENCODER, settings(method), 0, tmp_path / method)
        assert set(encoder.load(weights)[0].state_dict()) == fresh
