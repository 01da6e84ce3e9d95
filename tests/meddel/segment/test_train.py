"""Segmentation: scores that agree with NumPy, heads that learn, labels that are paired over encoders."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from meddel import artefacts, encoder
from meddel.config import EncoderConfig, SegmentConfig
from meddel.errors import MedDELError
from meddel.segment import IMAGES_SCHEMA, SCORES_SCHEMA, SegmentationSet, score, segment
from meddel.segment.heads import MLPHead

ENCODER = EncoderConfig(image_size=32, patch_size=8, width=32, depth=3, heads=2)
LABELS = {"selector": "none", "ratio": 0.0}


def squares(count: int = 24, name: str = "squares", seed: int = 0) -> SegmentationSet:
    """Bright squares on dark noise: half the images train, a quarter each validate and test."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (count, 32, 32, 3), dtype=np.uint8)
    masks = np.zeros((count, 32, 32), np.uint8)
    for image, mask in zip(images, masks, strict=True):
        row, column = rng.integers(0, 20, 2)
        side = rng.integers(8, 12)
        mask[row : row + side, column : column + side] = 1
        image[mask == 1] += 150
    splits = np.array(["train", "train", "val", "test"] * (count // 4))
    return SegmentationSet(name, images, masks, splits, np.array([f"{name}/{row:03d}" for row in range(count)]))


def config(**changes: object) -> SegmentConfig:
    values = {"epochs": 2, "batch": 4, "lr": 2e-3, "layer_decay": 1.0, "hidden": 32, "probe_epochs": 2}
    return SegmentConfig(**{**values, **changes})


def last(table, split: str = "test") -> float:
    rows = [row for row in table.to_pylist() if row["split"] == split]
    return max(rows, key=lambda row: row["epoch"])["foreground_iou"]


def test_scores_of_hand_made_masks():
    truth = torch.zeros(2, 4, 4, dtype=torch.uint8)
    truth[0, :2] = 1
    predicted = torch.zeros(2, 4, 4, dtype=torch.bool)
    predicted[0, 1:3] = True
    predicted[1, 0, 0] = True
    result = score(predicted, truth)
    assert result.intersection.tolist() == [4, 0]
    assert result.union.tolist() == [12, 1]
    assert result.foreground.tolist() == [8, 0]
    assert result.foreground_iou == pytest.approx(4 / 13)
    assert result.two_class_miou == pytest.approx((4 / 13 + 19 / 28) / 2)


def test_scores_agree_with_numpy_on_random_masks():
    rng = np.random.default_rng(1)
    truth, predicted = rng.random((5, 9, 9)) < 0.3, rng.random((5, 9, 9)) < 0.5
    result = score(torch.from_numpy(predicted), torch.from_numpy(truth.astype(np.uint8)))
    ious = [(a & b).sum() / (a | b).sum() for a, b in ((truth, predicted), (~truth, ~predicted))]
    assert result.foreground_iou == pytest.approx(ious[0], abs=1e-6)
    assert result.two_class_miou == pytest.approx(np.mean(ious), abs=1e-6)
    assert result.intersection.sum() / result.union.sum() == pytest.approx(ious[0])


def test_the_head_puts_every_logit_on_its_pixel():
    head = MLPHead(width=3, hidden=5, patch=2)
    tokens = torch.randn(1, 4, 3)
    logits, patches = head(tokens)[0], head.layers(tokens)[0].view(4, 2, 2)
    assert torch.equal(logits[:2, :2], patches[0])
    assert torch.equal(logits[:2, 2:], patches[1])
    assert torch.equal(logits[2:, :2], patches[2])


@pytest.mark.parametrize("head", ["mlp", "probe"])
def test_every_head_gives_a_row_per_epoch_and_split_and_the_same_for_a_seed(head):
    state = torch.get_rng_state()
    first, second = (segment(head, None, ENCODER, squares(), config(), 3, **LABELS) for _ in range(2))
    assert first.schema == SCORES_SCHEMA
    keys = [(row["epoch"], row["split"]) for row in first.to_pylist()]
    assert keys == [(1, "val"), (1, "test"), (2, "val"), (2, "test")]
    assert first.drop(["seconds"]).equals(second.drop(["seconds"]))
    assert set(first["head"].to_pylist()) == {head}
    other = segment(head, None, ENCODER, squares(), config(), 4, **LABELS)
    assert first["foreground_iou"] != other["foreground_iou"]
    assert torch.equal(torch.get_rng_state(), state)


def test_finetuning_overfits_four_images():
    data = squares(8)
    same = np.concatenate([data.images[:4]] * 2), np.concatenate([data.masks[:4]] * 2)
    data = SegmentationSet("four", *same, np.array(["train"] * 4 + ["test"] * 4), data.ids)
    assert last(segment("mlp", None, ENCODER, data, config(epochs=100, batch=2, lr=3e-3), 0, **LABELS)) > 0.85


def test_a_probe_separates_an_easy_problem():
    assert last(segment("probe", None, ENCODER, squares(40), config(probe_epochs=60, probe_lr=5e-3), 0, **LABELS)) > 0.6


def test_a_probe_does_not_read_the_scale_of_the_features(tmp_path):
    model = encoder.build(ENCODER, 0)
    encoder.save(model, ENCODER, tmp_path / "plain.safetensors")
    with torch.no_grad():
        model.norm.weight.mul_(torch.logspace(-3, 3, ENCODER.width))  # each dimension at a scale of its own
        model.norm.bias.add_(30)
    encoder.save(model, ENCODER, tmp_path / "scaled.safetensors")
    plain, scaled = (
        segment("probe", tmp_path / f"{name}.safetensors", ENCODER, squares(40), config(probe_epochs=20), 0, **LABELS)
        for name in ("plain", "scaled")
    )
    assert last(plain) > 0.3
    assert scaled["foreground_iou"].to_numpy() == pytest.approx(plain["foreground_iou"].to_numpy(), abs=0.02)


def test_a_head_reads_the_weights_of_the_encoder(tmp_path):
    encoder.save(encoder.build(ENCODER, 9), ENCODER, tmp_path / "nine.safetensors")
    table = segment("mlp", tmp_path / "nine.safetensors", ENCODER, squares(), config(epochs=1), 9, **LABELS)
    same = segment("mlp", None, ENCODER, squares(), config(epochs=1), 9, **LABELS)
    assert table["foreground_iou"] == same["foreground_iou"]


def test_labels_are_the_same_for_every_encoder_and_nested():
    data = squares(40)
    few, more = data.labelled(5, seed=2), data.labelled(9, seed=2)
    assert set(few) < set(more) <= set(data.rows("train"))
    assert not np.array_equal(few, data.labelled(5, seed=3))
    assert np.array_equal(data.labelled(None, seed=2), data.rows("train"))
    turned = SegmentationSet("turned", data.images[::-1], data.masks[::-1], data.splits[::-1], data.ids[::-1])
    assert set(turned.ids[turned.labelled(5, seed=2)]) == set(data.ids[few])


def test_unlabelled_training_images_do_not_matter(tmp_path):
    data = squares(40)
    chosen = data.labelled(6, seed=0)
    images, masks = data.images.copy(), data.masks.copy()
    unused = np.setdiff1d(data.rows("train"), chosen)
    images[unused], masks[unused] = 0, 0
    blank = SegmentationSet("squares", images, masks, data.splits, data.ids)
    for head in ("mlp", "probe"):
        one, two = (segment(head, None, ENCODER, each, config(labels=6), 0, **LABELS) for each in (data, blank))
        assert one["foreground_iou"] == two["foreground_iou"]


def test_artefacts_agree_with_the_scores_and_are_made_once(tmp_path):
    data, out = squares(), tmp_path / "run"
    table = segment("mlp", None, ENCODER, data, config(), 0, **LABELS, out=out)
    images = pq.read_table(out / "images.parquet")
    assert images.schema == IMAGES_SCHEMA
    rows = [row for row in images.to_pylist() if row["split"] == "test"]
    assert [row["id"] for row in rows] == data.ids[data.rows("test")].tolist()
    pooled = sum(row["intersection"] for row in rows) / sum(row["union"] for row in rows)
    assert last(table) == pytest.approx(pooled, abs=1e-6)
    assert sum(row["foreground"] for row in rows) == data.masks[data.rows("test")].sum()
    written = (out / "scores.parquet").stat().st_mtime_ns
    assert segment("mlp", None, ENCODER, data, config(), 0, **LABELS, out=out).equals(table)
    assert (out / "scores.parquet").stat().st_mtime_ns == written
    assert artefacts.read_provenance(out / "scores.parquet").data_hash == data.content_hash()
    segment("mlp", None, ENCODER, data, config(lr=1e-4), 0, **LABELS, out=out)
    assert (out / "scores.parquet").stat().st_mtime_ns != written


@pytest.mark.parametrize("head", ["mlp", "probe"])
def test_other_sets_are_tested_after_the_last_epoch(head):
    other = squares(8, "other", seed=5)
    rows = segment(head, None, ENCODER, squares(), config(), 0, **LABELS, transfer=[other]).to_pylist()
    assert [(row["set"], row["epoch"], row["split"]) for row in rows[4:]] == [("squares>other", 2, "test")]
    with pytest.raises(MedDELError, match="one name"):
        segment(head, None, ENCODER, squares(), config(), 0, **LABELS, transfer=[squares()])


def test_a_set_without_validation_is_scored_on_test_only():
    data = squares()
    splits = np.where(data.splits == "val", "train", data.splits)
    table = segment(
        "probe", None, ENCODER, SegmentationSet("two", data.images, data.masks, splits, data.ids), config(), 0, **LABELS
    )
    assert set(table["split"].to_pylist()) == {"test"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": np.zeros((24, 16, 16), np.uint8)}, "don't fit"),
        ({"masks": np.full((24, 32, 32), 255, np.uint8)}, "other values"),
        ({"masks": np.zeros((24, 32, 32), np.uint8)}, "no foreground"),
        ({"masks": np.ones((24, 32, 32), np.uint8)}, "no background"),
        ({"splits": np.array(["test"] * 24)}, "no images to train on"),
        ({"splits": np.array(["train"] * 24)}, "no images to test on"),
        ({"splits": np.array(["train", "tset"] * 12)}, "unknown split"),
        ({"ids": np.array(["a"] * 24)}, "unique ids"),
        ({"images": np.zeros((24, 32, 32, 3), np.float32)}, "decode them as uint8"),
    ],
)
def test_bad_sets_are_refused(change, message):
    data = squares()
    fields = {name: getattr(data, name) for name in ("name", "images", "masks", "splits", "ids")}
    with pytest.raises(MedDELError, match=message):
        SegmentationSet(**{**fields, **change})


def test_weights_and_images_must_fit_the_encoder(tmp_path):
    encoder.save(encoder.build(ENCODER, 0), ENCODER, tmp_path / "small.safetensors")
    wider = ENCODER.model_copy(update={"width": 48})
    with pytest.raises(MedDELError, match="another encoder"):
        segment("probe", tmp_path / "small.safetensors", wider, squares(), config(), 0, **LABELS)
    larger = ENCODER.model_copy(update={"image_size": 64})
    with pytest.raises(MedDELError, match="32 px for an encoder of 64 px"):
        segment("mlp", None, larger, squares(), config(), 0, **LABELS)
