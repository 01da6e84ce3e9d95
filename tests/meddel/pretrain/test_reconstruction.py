"""How hard each image is to rebuild for an encoder that stays as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from meddel import artefacts, encoder
from meddel.config import PretrainConfig
from meddel.errors import MedDELError
from meddel.pretrain import reconstruction, reconstruction_errors
from meddel.pretrain.mae import MAE

SIDE, PATCHES = 32, 16  # those of the fixture `weights`
CONFIG = PretrainConfig(images_seen=640, batch=32, lr=3e-3, decoder_width=32, decoder_depth=1)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Twenty flat grey images, twenty of noise, and twenty whose lower half is noise."""
    rng = np.random.default_rng(0)
    flat = np.broadcast_to(rng.integers(0, 256, (60, 1, 1, 1), dtype=np.uint8), (60, SIDE, SIDE, 3)).copy()
    noise = rng.integers(0, 256, flat.shape, dtype=np.uint8)
    flat[20:40] = noise[20:40]
    flat[40:, SIDE // 2 :] = noise[40:, SIDE // 2 :]
    return flat


@pytest.fixture(scope="module")
def whole(images: np.ndarray, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the errors of an uninterrupted run."""
    out = tmp_path_factory.mktemp("errors")
    reconstruction_errors(weights, images, CONFIG, 0, out)
    return out / "errors.npy"


class Interrupting(np.ndarray):
    """Images that stand for Ctrl-C: after some reads they interrupt."""

    reads = 0

    def __getitem__(self, key: object) -> np.ndarray:
        self.reads -= 1
        if self.reads == 0:
            raise KeyboardInterrupt
        return np.asarray(super().__getitem__(key))


def interrupting(images: np.ndarray, reads: int) -> Interrupting:
    seen = images.view(Interrupting)
    seen.reads = reads
    return seen


def test_noise_is_harder_than_flat_images(whole: Path) -> None:
    errors = np.load(whole)
    assert errors.shape == (60,) and errors.dtype == np.float32
    assert errors[:20].max() < errors[40:].min() < errors[40:].max() < errors[20:40].min()


def test_the_errors_are_those_of_hidden_patches_in_pixels_scaled_patch_by_patch(
    images: np.ndarray, weights: Path
) -> None:
    model = MAE(encoder.load(weights)[0], CONFIG).eval()
    shown, some = reconstruction.visible_patches(model, 0), images[38:42]
    views = encoder.normalise(torch.from_numpy(some))
    cells = views.numpy().reshape(4, 3, 4, 8, 4, 8).transpose(0, 2, 4, 3, 5, 1).reshape(4, PATCHES, -1)
    scaled = (cells - cells.mean(axis=2, keepdims=True)) / np.sqrt(cells.var(axis=2, ddof=1, keepdims=True) + 1e-6)
    misses = np.full((len(shown), 4, PATCHES), np.nan)
    every = torch.arange(PATCHES).expand(4, -1)
    for mask, seen in enumerate(shown):
        with torch.inference_mode():
            rebuilt = model.predicted(views, seen.expand(4, -1), every).numpy()
        misses[mask] = np.square(rebuilt - scaled).mean(axis=2)
        misses[mask][:, seen.numpy()] = np.nan
    expected = np.nanmean(misses, axis=0).mean(axis=1)
    np.testing.assert_allclose(reconstruction._errors(model, some, shown, "cpu"), expected, rtol=1e-3)


def test_hidden_patches_do_not_help_to_rebuild(images: np.ndarray, weights: Path) -> None:
    model = MAE(encoder.load(weights)[0], CONFIG).eval()
    seen = reconstruction.visible_patches(model, 0)[0]
    changed = images[40:44].copy()
    for patch in set(range(PATCHES)) - set(seen.tolist()):
        y, x = 8 * (patch // 4), 8 * (patch % 4)
        changed[:, y : y + 8, x : x + 8] = 255
    every = torch.arange(PATCHES).expand(4, -1)
    with torch.inference_mode():
        one, two = (
            model.predicted(encoder.normalise(torch.from_numpy(stack)), seen.expand(4, -1), every)
            for stack in (images[40:44], changed)
        )
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("ratio", [0.75, 0.5, 0.1])
def test_every_patch_is_hidden_by_a_mask_and_by_as_many_as_any_other(weights: Path, ratio: float) -> None:
    model = MAE(encoder.load(weights)[0], CONFIG.model_copy(update={"mask_ratio": ratio}))
    shown = reconstruction.visible_patches(model, 0).numpy()
    times = np.bincount(shown.ravel(), minlength=PATCHES)
    assert times.max() < len(shown) and np.ptp(times) <= 1
    assert all(len(set(row)) == len(row) == model.visible for row in shown.tolist())


def test_the_encoder_stays_as_it_was_and_is_not_trained(weights: Path) -> None:
    model = reconstruction._with_decoder(encoder.load(weights)[0], CONFIG, 0)
    for name, value in encoder.load(weights)[0].state_dict().items():
        torch.testing.assert_close(model.encoder.state_dict()[name], value, rtol=0, atol=0)
    assert not any(value.requires_grad for value in model.encoder.parameters())


def test_an_interrupted_fit_ends_in_the_same_bytes_and_another_seed_does_not(
    whole: Path, images: np.ndarray, weights: Path, tmp_path: Path
) -> None:
    config, same = CONFIG.model_copy(update={"checkpoint_seconds": 1e-9}), {"data_hash": artefacts.hash_of(images)}
    for reads in (8, 13):  # 7 steps are done, then 12 more; one of 20 is left
        with pytest.raises(KeyboardInterrupt):
            reconstruction_errors(weights, interrupting(images, reads), config, 0, tmp_path, **same)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    reconstruction_errors(weights, interrupting(images, 3), config, 0, tmp_path, **same)  # a step and a batch
    assert (tmp_path / "errors.npy").read_bytes() == whole.read_bytes()
    assert not (tmp_path / "checkpoint.pt").exists()
    assert not np.allclose(reconstruction_errors(weights, images, CONFIG, 1, tmp_path / "other"), np.load(whole))


def test_images_of_another_size_are_refused(weights: Path, tmp_path: Path) -> None:
    for shape, kind in (((2, 16, 16, 3), np.uint8), ((2, SIDE, SIDE, 3), float), ((0, SIDE, SIDE, 3), np.uint8)):
        with pytest.raises(MedDELError, match="at least one"):
            reconstruction_errors(weights, np.zeros(shape, kind), CONFIG, 0, tmp_path)
