"""How hard an image is to rebuild, who is kept for it, and new images made of the hardest patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from meddel import artefacts, encoder
from meddel.config import PretrainConfig
from meddel.errors import MedDELError
from meddel.pretrain import decoder, reconstruction, tiling
from meddel.select import hardness

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
def fitted(images: np.ndarray, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, Path]:
    """The errors of all patches, and the folder that holds them."""
    out = tmp_path_factory.mktemp("errors")
    return reconstruction.patch_errors(weights, images, CONFIG, 0, out), out


def index_of(n: int) -> pa.Table:
    return pa.table({"id": [f"s/{row:03d}" for row in range(n)], "path": [f"/{row}.png" for row in range(n)]})


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ranked(selection: pa.Table) -> list[int]:
    return np.argsort(selection["rank"].to_numpy()).tolist()


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


def test_noise_is_harder_than_flat_images(fitted: tuple[np.ndarray, Path]) -> None:
    errors = fitted[0]
    assert errors.shape == (60, PATCHES) and errors.dtype == np.float32
    of_images = errors.mean(axis=1)
    assert of_images[:20].max() < of_images[40:].min() < of_images[40:].max() < of_images[20:40].min()
    halves = errors[40:].reshape(20, 2, PATCHES // 2)
    assert halves[:, 0].max() < halves[:, 1].min(), "the upper half is flat"


def test_the_error_of_an_image_is_the_mean_of_its_patches(
    fitted: tuple[np.ndarray, Path], images: np.ndarray, weights: Path
) -> None:
    of_images = reconstruction.reconstruction_errors(weights, images, CONFIG, 0, fitted[1])
    np.testing.assert_array_equal(of_images, fitted[0].mean(axis=1))


def test_the_errors_follow_their_definition(fitted: tuple[np.ndarray, Path], images: np.ndarray, weights: Path) -> None:
    model = decoder.fit(weights, images, CONFIG, 0, fitted[1])
    shown = reconstruction.visible_patches(model, 4, 0)
    views = encoder.normalise(torch.from_numpy(images[38:42]))
    cells = views.numpy().reshape(4, 3, 4, 8, 4, 8).transpose(0, 2, 4, 3, 5, 1).reshape(4, PATCHES, -1)
    scaled = (cells - cells.mean(axis=2, keepdims=True)) / np.sqrt(cells.var(axis=2, ddof=1, keepdims=True) + 1e-6)
    misses = np.full((4, 4, PATCHES), np.nan)
    for mask, seen in enumerate(shown):
        with torch.inference_mode():
            misses[mask] = np.square(reconstruction.rebuilt(model, views, seen).numpy() - scaled).mean(axis=2)
        misses[mask][:, seen.numpy()] = np.nan
    np.testing.assert_allclose(np.nanmean(misses, axis=0), fitted[0][38:42], rtol=1e-3)


def test_hidden_patches_do_not_help_to_rebuild(
    fitted: tuple[np.ndarray, Path], images: np.ndarray, weights: Path
) -> None:
    model = decoder.fit(weights, images, CONFIG, 0, fitted[1])
    seen = reconstruction.visible_patches(model, 4, 0)[0]
    changed = images[40:44].copy()
    for patch in set(range(PATCHES)) - set(seen.tolist()):
        y, x = 8 * (patch // 4), 8 * (patch % 4)
        changed[:, y : y + 8, x : x + 8] = 255
    with torch.inference_mode():
        one, two = (
            reconstruction.rebuilt(model, encoder.normalise(torch.from_numpy(stack)), seen)
            for stack in (images[40:44], changed)
        )
    torch.testing.assert_close(one, two)


def test_the_same_seed_gives_the_same_bytes_and_another_row_order_the_same_errors(
    fitted: tuple[np.ndarray, Path], images: np.ndarray, weights: Path, tmp_path: Path
) -> None:
    again = reconstruction.patch_errors(weights, images, CONFIG, 0, tmp_path / "again")
    assert (tmp_path / "again/errors.npy").read_bytes() == (fitted[1] / "errors.npy").read_bytes()
    model = decoder.fit(weights, images, CONFIG, 0, fitted[1])
    shown = reconstruction.visible_patches(model, 4, 0)
    order = rng(1).permutation(60)
    shuffled = reconstruction.errors_of(model, torch.from_numpy(images[order]), shown)
    np.testing.assert_allclose(shuffled, again[order], rtol=1e-4)
    other = reconstruction.patch_errors(weights, images, CONFIG, 1, tmp_path / "other")
    assert not np.allclose(other, again)


def test_every_patch_is_hidden_by_a_mask(images: np.ndarray, weights: Path, tmp_path: Path) -> None:
    model = decoder.fit(weights, images, CONFIG.model_copy(update={"images_seen": 32}), 0, tmp_path)
    for masks in (2, 3, 4, 7):
        shown = reconstruction.visible_patches(model, masks, 0).numpy()
        assert shown.shape == (masks, model.visible)
        times = np.bincount(shown.ravel(), minlength=PATCHES)
        assert times.max() < masks and np.ptp(times) <= 1
        assert all(len(set(row)) == len(row) for row in shown.tolist())
    with pytest.raises(MedDELError, match="give at least 2 masks"):
        reconstruction.visible_patches(model, 1, 0)


def test_the_encoder_stays_as_it_was(fitted: tuple[np.ndarray, Path], images: np.ndarray, weights: Path) -> None:
    model = decoder.fit(weights, images, CONFIG, 0, fitted[1])
    for name, value in encoder.load(weights)[0].state_dict().items():
        torch.testing.assert_close(model.encoder.state_dict()[name], value, rtol=0, atol=0)


def test_an_interrupted_fit_ends_in_the_same_bytes(
    fitted: tuple[np.ndarray, Path], images: np.ndarray, weights: Path, tmp_path: Path
) -> None:
    config = CONFIG.model_copy(update={"checkpoint_seconds": 1e-9})
    same = {"data_hash": artefacts.hash_of(images)}
    with pytest.raises(KeyboardInterrupt):
        decoder.fit(weights, interrupting(images, 8), config, 0, tmp_path, **same)
    assert [path.name for path in tmp_path.iterdir()] == ["decoder.pt"]
    with pytest.raises(KeyboardInterrupt):
        decoder.fit(weights, interrupting(images, 13), config, 0, tmp_path, **same)  # 7 steps were done, 12 more
    decoder.fit(weights, interrupting(images, 3), config, 0, tmp_path, **same)  # one is left
    assert (tmp_path / "decoder.safetensors").read_bytes() == (fitted[1] / "decoder.safetensors").read_bytes()
    assert not (tmp_path / "decoder.pt").exists()


def test_interrupted_errors_go_on_behind_the_last_part(
    fitted: tuple[np.ndarray, Path],
    images: np.ndarray,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconstruction, "_IMAGES_A_PART", 16)
    same = {"batch": 8, "data_hash": artefacts.hash_of(images)}
    decoder.fit(weights, images, CONFIG, 0, tmp_path, data_hash=same["data_hash"])
    with pytest.raises(KeyboardInterrupt):
        reconstruction.patch_errors(weights, interrupting(images, 6), CONFIG, 0, tmp_path, **same)
    assert len(list(tmp_path.glob("errors-*.npy"))) == 2 and not (tmp_path / "errors.npy").exists()
    errors = reconstruction.patch_errors(weights, interrupting(images, 5), CONFIG, 0, tmp_path, **same)
    np.testing.assert_allclose(errors, fitted[0], rtol=1e-4)
    assert not list(tmp_path.glob("errors-*.npy"))
    with pytest.raises(MedDELError, match="batch 0"):
        reconstruction.patch_errors(weights, images, CONFIG, 0, tmp_path, batch=0)


def test_images_of_another_size_are_refused(weights: Path, tmp_path: Path) -> None:
    for wrong in (
        np.zeros((2, 16, 16, 3), np.uint8),
        np.zeros((2, SIDE, SIDE, 3)),
        np.zeros((0, SIDE, SIDE, 3), np.uint8),
    ):
        with pytest.raises(MedDELError, match="decode at least one"):
            reconstruction.reconstruction_errors(weights, wrong, CONFIG, 0, tmp_path)


@pytest.mark.parametrize(
    ("which", "order"), [("hard", [1, 3, 4, 0, 2]), ("easy", [2, 0, 3, 4, 1]), ("middle", [3, 0, 4, 2, 1])]
)
def test_the_hardest_the_easiest_or_the_middle_come_first(which: str, order: list[int]) -> None:
    errors = np.array([0.2, 0.9, 0.1, 0.5, 0.5])
    for budget in (1, 3, 5):
        table = hardness.select(np.ones((5, 2), np.float16), index_of(5), budget, rng(), errors=errors, which=which)
        assert ranked(table) == order
        assert table["kept"].to_numpy().sum() == budget


def test_errors_may_come_by_row_or_by_id_in_any_order_of_the_rows() -> None:
    errors, index, x = rng().random(30), index_of(30), np.ones((30, 2))
    one = hardness.select(x, index, 7, rng(), errors=errors)
    by_id = dict(zip(index["id"].to_pylist(), errors, strict=True))
    shuffled = rng(1).permutation(30)
    for given in (errors[shuffled], {**by_id, "s/another": 0.5}):
        assert one.equals(hardness.select(x, index.take(pa.array(shuffled)), 7, rng(9), errors=given).sort_by("id"))


@pytest.mark.parametrize(("errors", "said"), [
    (None, "needs the reconstruction error"), (np.ones(4), "5 images but"), (np.ones(5, int), "int64"),
    (np.array([1, 2, np.nan, 4, 5]), "s/002"), ({"s/000": 1.0, "s/002": 1.0}, "s/001"),
])  # fmt: skip
def test_errors_that_do_not_fit_are_refused(errors: object, said: str) -> None:
    with pytest.raises(MedDELError, match=said):
        hardness.select(np.ones((5, 2)), index_of(5), 2, rng(), errors=errors)


def test_a_hardness_that_is_unknown_is_refused() -> None:
    with pytest.raises(MedDELError, match="choose one of hard, easy, middle"):
        hardness.select(np.ones((5, 2)), index_of(5), 2, rng(), errors=np.ones(5), which="worst")


@pytest.mark.parametrize("side", [16, 32])
def test_each_tile_equals_the_patch_that_it_says_it_came_from(side: int) -> None:
    images, errors = rng().integers(0, 256, (7, 32, 32, 3), dtype=np.uint8), rng(1).random((7, 16))
    tiles = tiling.tile_hardest(images, errors, 5, side=side)
    assert tiles.images.shape == (5, side, side, 3)
    cell = side // 2
    seen = set()
    for number in range(5):
        for corner in range(4):
            row, top, left = (int(place[number, corner]) for place in (tiles.row, tiles.top, tiles.left))
            below, right = cell * (corner // 2), cell * (corner % 2)
            made = tiles.images[number, below : below + cell, right : right + cell]
            np.testing.assert_array_equal(made, images[row, top : top + cell, left : left + cell])
            patches = errors[row].reshape(4, 4)[top // 8 : (top + cell) // 8, left // 8 : (left + cell) // 8]
            assert tiles.error[number, corner] == pytest.approx(patches.mean())
            seen.add((row, top, left))
    assert len(seen) == 20, "no patch twice"


def test_the_hardest_patches_are_tiled_first_and_all_of_them_at_most_once() -> None:
    images, errors = rng().integers(0, 256, (6, 16, 16, 3), dtype=np.uint8), rng(1).random((6, 16))
    tiles = tiling.tile_hardest(images, errors, 6)
    of_cells = errors.reshape(6, 2, 2, 2, 2).mean(axis=(2, 4)).ravel()
    np.testing.assert_allclose(tiles.error.ravel(), np.sort(of_cells)[::-1], rtol=1e-6)
    fewer = tiling.tile_hardest(images, errors, 2)
    np.testing.assert_array_equal(fewer.images, tiles.images[:2])
    assert sorted(tiles.images.ravel()) == sorted(images.ravel())


def test_noise_is_what_gets_tiled(fitted: tuple[np.ndarray, Path], images: np.ndarray) -> None:
    tiles = tiling.tile_hardest(images, fitted[0], 30)  # 120 of the 240 cells; 80 + 40 are noise
    assert set(tiles.row.ravel().tolist()) == set(range(20, 60))
    assert (tiles.top[tiles.row >= 40] == SIDE // 2).all()


@pytest.mark.parametrize(("change", "said"), [
    ({"side": 15}, "even side"), ({"side": 12}, "even side"), ({"side": 2}, "even side"), ({"count": 0}, "from 1 to 7"),
    ({"count": 8}, "from 1 to 7"), ({"errors": np.ones((7, 15))}, "7 images"), ({"errors": np.ones(7)}, "7 images"),
    ({"errors": np.full((7, 16), np.nan)}, "row 0"), ({"images": np.zeros((7, 32, 16, 3), np.uint8)}, "decode"),
])  # fmt: skip
def test_what_can_not_be_tiled_is_refused(change: dict, said: str) -> None:
    given = {"images": np.zeros((7, 32, 32, 3), np.uint8), "errors": np.ones((7, 16)), "count": 1, **change}
    with pytest.raises(MedDELError, match=said):
        tiling.tile_hardest(**given)
