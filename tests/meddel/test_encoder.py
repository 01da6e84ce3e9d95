"""Encoders are built by seed, survive the disk byte for byte, and come from the files that people have."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from meddel import encoder
from meddel.config import EncoderConfig
from meddel.errors import MedDELError

TINY = EncoderConfig(image_size=32, patch_size=8, width=24, depth=2, heads=3)
TIMM_NAME = "vit_tiny_patch16_224"


@pytest.fixture(scope="module")
def published() -> torch.nn.Module:
    """A ViT as timm makes it, with a head."""
    torch.manual_seed(5)
    return timm.create_model(TIMM_NAME, pretrained=False).eval()


def probe(model: torch.nn.Module, size: int = 32) -> torch.Tensor:
    noise = torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return model.eval()(encoder.normalise(noise))


def test_tokens_are_the_class_and_the_patches():
    assert probe(encoder.build(TINY, 0)).shape == (2, 1 + 16, 24)
    assert encoder.config_of(encoder.build(TINY, 0)) == TINY


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first = probe(encoder.build(TINY, 7))
    assert torch.equal(torch.rand(4), expected)
    assert torch.equal(probe(encoder.build(TINY, 7)), first)
    assert not torch.equal(probe(encoder.build(TINY, 8)), first)


def test_normalise_by_hand_and_in_both_layouts():
    images = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    images[0, 0, 1] = torch.tensor([255, 128, 0])
    result = encoder.normalise(images)
    assert (result.shape, result.dtype) == ((1, 3, 2, 2), torch.float32)
    expected = (np.array([1, 128 / 255, 0]) - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    np.testing.assert_allclose(result[0, :, 0, 1], expected, rtol=1e-5)
    assert torch.equal(encoder.normalise(images.permute(0, 3, 1, 2)), result)
    half = encoder.normalise(images, (0.5,) * 3, (0.5,) * 3)
    np.testing.assert_allclose(half[0, :, 0, 0], -1)


@pytest.mark.parametrize("images", [torch.zeros(1, 3, 4, 4), torch.zeros(3, 4, 4, dtype=torch.uint8)])
def test_normalise_refuses_what_is_no_batch_of_bytes(images):
    with pytest.raises(MedDELError, match="images are"):
        encoder.normalise(images)


def test_saved_and_loaded_are_the_same(tmp_path):
    model = encoder.build(TINY, 1)
    encoder.save(model, TINY, tmp_path / "a.safetensors")
    loaded, config = encoder.load(tmp_path / "a.safetensors")
    assert config == TINY
    assert not loaded.training
    assert torch.equal(probe(loaded), probe(model))
    encoder.save(loaded, config, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_what_cannot_be_loaded_is_one_clear_line(tmp_path, published):
    with pytest.raises(MedDELError, match="no such weights file"):
        encoder.load(tmp_path / "missing.safetensors")
    (tmp_path / "text.safetensors").write_text("weights")
    with pytest.raises(MedDELError, match="no readable safetensors"):
        encoder.load(tmp_path / "text.safetensors")
    save_file(published.state_dict(), tmp_path / "timm.safetensors")
    with pytest.raises(MedDELError, match="carry no encoder configuration"):
        encoder.load(tmp_path / "timm.safetensors")
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(MedDELError, match="no readable weights file"):
        encoder.hub(TIMM_NAME, tmp_path / "text.pth")


@pytest.mark.parametrize("kind", ["safetensors", "pth", "mae"])
def test_files_as_timm_and_the_authors_of_mae_give_them(tmp_path, published, kind):
    state, path = published.state_dict(), tmp_path / f"weights.{'safetensors' if kind == 'safetensors' else 'pth'}"
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "pth":
        torch.save(state, path)
    else:
        bare = {key: value for key, value in state.items() if not key.startswith("head")}
        torch.save({"model": {**bare, "mask_token": torch.zeros(1), "decoder_embed.weight": torch.zeros(2, 2)}}, path)
    model, config = encoder.hub(TIMM_NAME, path)
    assert config == EncoderConfig(image_size=224, patch_size=16, width=192, depth=12, heads=3)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(model(images), published.forward_features(images))
    assert encoder.statistics(model) == ((0.5,) * 3, (0.5,) * 3)  # this family was not trained with ImageNet's


def test_statistics_survive_the_disk(tmp_path, published):
    save_file(published.state_dict(), tmp_path / "timm.safetensors")
    model, config = encoder.hub(TIMM_NAME, tmp_path / "timm.safetensors")
    encoder.save(model, config, tmp_path / "own.safetensors")
    again, same = encoder.hub("ignored for a file of our own", tmp_path / "own.safetensors")
    assert same == config
    assert encoder.statistics(again) == ((0.5,) * 3, (0.5,) * 3)


def test_weights_of_another_model_are_refused(tmp_path, published):
    save_file(published.state_dict(), tmp_path / "tiny.safetensors")
    with pytest.raises(MedDELError, match="don't fit the model: size mismatch"):
        encoder.hub("vit_small_patch16_224", tmp_path / "tiny.safetensors")
    torch.save({"cls_token": torch.zeros(1, 1, 192)}, tmp_path / "part.pth")
    with pytest.raises(MedDELError, match="don't fit the model: Missing key"):
        encoder.hub(TIMM_NAME, tmp_path / "part.pth")


def test_a_hub_out_of_reach_says_how_to_give_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    template = "http://127.0.0.1:9/{repo_id}/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    with pytest.raises(MedDELError, match=r"can't fetch the weights of vit_base_patch16_224.*--weights") as caught:
        encoder.hub()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "problem"),
    [("vit_basic", "timm knows no model"), ("vit_giant_patch14_224", "timm has no weights")],
)
def test_names_that_have_no_weights(name, problem):
    with pytest.raises(MedDELError, match=problem):
        encoder.hub(name)


def test_only_plain_square_vits_have_a_configuration():
    with pytest.raises(MedDELError, match="no plain ViT"):
        encoder.config_of(torch.nn.Linear(1, 1))
    with pytest.raises(MedDELError, match="not square"):
        encoder.config_of(timm.create_model("vit_tiny_patch16_224", img_size=(32, 64)))
