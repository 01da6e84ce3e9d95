"""Embeddings equal the model's by hand, from files or decoded images alike, and go on after a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from meddel import artefacts, encoder
from meddel.config import EncoderConfig
from meddel.embed import embed, embed_batch
from meddel.errors import MedDELError
from meddel.images import index, pixels

TINY = EncoderConfig(image_size=32, patch_size=8, width=24, depth=2, heads=3)
N = 11


@pytest.fixture
def table(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(N):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
        coarse.resize((70, 50)).save(folder / f"{i:02d}.jpg")
    return index.build_index(folder)


@pytest.fixture
def model():
    return encoder.build(TINY, 0).eval()


def count_images(model: torch.nn.Module, stop_after: int | None = None) -> list[int]:
    """Return a list that grows by the size of each batch that goes through `model`; stop like Ctrl-C if asked."""
    seen: list[int] = []

    def hook(module, inputs, output):
        seen.append(len(inputs[0]))
        if stop_after is not None and sum(seen) > stop_after:
            raise KeyboardInterrupt

    model.register_forward_hook(hook)
    return seen


@pytest.mark.parametrize("pool", ["avg", "token"])
def test_embeddings_equal_the_model_by_hand(table, model, tmp_path, pool):
    store = embed(table, tmp_path / "store", model=model, batch=4, pool=pool)
    for i, path in enumerate(table["path"].to_pylist()):
        image = Image.open(path).convert("RGB").resize((32, 32), Image.Resampling.BICUBIC)
        with torch.inference_mode():
            tokens = model(encoder.normalise(torch.from_numpy(np.array(image))[None]))[0]
        expected = tokens[0] if pool == "token" else tokens[1:].mean(dim=0)
        np.testing.assert_allclose(store.embeddings[i], expected, atol=2e-3)
    assert store.index.equals(table)
    assert store.encoder["pool"] == pool


def test_decoded_images_give_the_same_bytes_as_files(table, model, tmp_path):
    decoded = pixels.decode(table, 32, tmp_path / "pixels")
    part = table.slice(3, 5)
    from_files = embed(part, tmp_path / "a", model=model)
    from_pixels = embed(part, tmp_path / "b", model=model, pixels=decoded)
    assert from_files.hash == from_pixels.hash


def test_a_kill_costs_the_begun_shard_only(table, model, tmp_path):
    whole = embed(table, tmp_path / "whole", model=model, batch=2, shard_rows=4)
    stopped = encoder.build(TINY, 0)
    count_images(stopped, stop_after=7)
    with pytest.raises(KeyboardInterrupt):
        embed(table, tmp_path / "store", model=stopped, batch=2, shard_rows=4)
    resumed = encoder.build(TINY, 0)
    seen = count_images(resumed)
    store = embed(table, tmp_path / "store", model=resumed, batch=2, shard_rows=4)
    assert sum(seen) == N - 4
    assert store.hash == whole.hash
    assert artefacts.is_finished(tmp_path / "store" / "store.json", store.manifest["key"])


def test_finished_work_is_not_done_again_and_changed_work_is(table, model, tmp_path):
    first = embed(table, tmp_path, model=model)
    seen = count_images(model)
    assert embed(table, tmp_path, model=model, batch=3).hash == first.hash
    assert seen == []
    assert embed(table, tmp_path, model=model, pool="token").hash != first.hash
    assert sum(seen) == N
    other = encoder.build(TINY, 1)
    seen = count_images(other)
    embed(table, tmp_path, model=other)
    assert sum(seen) == N


def test_broken_weights_name_the_first_image(table, model, tmp_path):
    for value, problem in ((float("nan"), "NaN"), (0.0, "length 0")):
        torch.nn.init.constant_(model.norm.weight, value)
        with pytest.raises(MedDELError, match=rf"embedding of set/00 .*{problem}.*00.jpg"):
            embed(table, tmp_path, model=model)


def test_an_image_that_changed_is_named(table, model, tmp_path):
    Path(table["path"][5].as_py()).write_bytes(b"changed")
    with pytest.raises(MedDELError, match=r"changed since it was indexed.*05.jpg"):
        embed(table, tmp_path, model=model)


def test_what_does_not_fit_is_refused_before_any_work(table, model, tmp_path):
    decoded = pixels.decode(table.slice(0, 2), 16, tmp_path / "pixels")
    with pytest.raises(MedDELError, match="decoded to 16 pixels for an encoder of 32"):
        embed(table, tmp_path / "store", model=model, pixels=decoded)
    with pytest.raises(MedDELError, match="pool 'max'"):
        embed(table, tmp_path / "store", model=model, pool="max")
    with pytest.raises(MedDELError, match="batch 0"):
        embed(table, tmp_path / "store", model=model, batch=0)
    with pytest.raises(MedDELError, match="without rows"):
        embed(table.slice(0, 0), tmp_path / "store", model=model)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_bfloat16_on_a_gpu_is_close(table, model, tmp_path):
    exact = np.array(embed(table, tmp_path / "cpu", model=model).embeddings, dtype=np.float64)
    rough = embed(table, tmp_path / "gpu", model=model, device="cuda")
    assert rough.encoder["precision"] == "bfloat16"
    norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(rough.embeddings.astype(np.float64), axis=1)
    assert ((exact * rough.embeddings).sum(axis=1) / norms).min() > 0.999


def test_a_batch_by_itself(model):
    images = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    result = embed_batch(model, images)
    assert (result.shape, result.dtype, result.requires_grad) == ((2, 24), torch.float32, False)
