"""Segment from an encoder (section 4.1): fine-tuned under a head, or frozen under a probe; one loop for both.

All draws depend on the seed alone, so that encoders of one seed are compared on the same labels, orders and flips.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from timm.models.vision_transformer import VisionTransformer
from timm.optim import param_groups_layer_decay
from torch import Generator, Tensor

from meddel import artefacts
from meddel import encoder as encoders
from meddel.config import EncoderConfig, Head, SegmentConfig
from meddel.errors import MedDELError
from meddel.pretrain.optimise import bfloat16_products, forked, learning_rate, mixed_precision, parameter_groups
from meddel.pretrain.order import random_state
from meddel.progress import progress
from meddel.segment.data import EVALUATED, SegmentationSet
from meddel.segment.heads import MLPHead, MLPModel, patch_tokens, segmentation_loss
from meddel.segment.score import IMAGES_SCHEMA, SCORES_SCHEMA, score

WARMUP = 0.1
_BATCH = 64
"""Images at a time where nothing is trained."""


def segment(
    head: Head,
    weights: Path | None,
    encoder_config: EncoderConfig,
    data: SegmentationSet,
    config: SegmentConfig,
    seed: int,
    *,
    selector: str,
    ratio: float,
    out: Path | None = None,
    device: str = "cpu",
    transfer: Sequence[SegmentationSet] = (),
) -> pa.Table:
    """Train a head on an encoder with the labelled images of `data`, and score it on validation and test images.

    Parameters
    ----------
    head : {"mlp", "probe"}
        The paper's simple MLP, trained together with the encoder: AdamW with warm-up and cosine, rates that fall by
        `layer_decay` from block to block towards the input, flips, cross-entropy plus Dice. Or the MLP as a probe on
        the frozen encoder, without flips.
    weights : Path or None
        An encoder of `encoder_config`; None is one without pre-training, random at this seed.
    selector, ratio : str, float
        Where the encoder comes from; only written into the scores.
    out : Path or None
        Folder of ``scores.parquet`` and ``images.parquet``; finished work is read, not done again. None writes nothing.
    transfer : sequence of SegmentationSet
        Other sets to test on after the last epoch (section 4.6); the name in their rows is ``"trained on>tested on"``.

    Returns
    -------
    Table
        Of `SCORES_SCHEMA`, rows by epoch, then validation before test.
    """
    sets = [data, *transfer]
    _check(sets, encoder_config)
    task = _Task(head, weights, encoder_config, sets, config, seed, {"selector": selector, "ratio": ratio}, device)
    if out is None:
        return _train(task)[0]
    path, hashes = out / "scores.parquet", [each.content_hash() for each in sets]
    origin = None if weights is None else artefacts.hash_of_file(weights)
    settings, labels = config.model_dump(mode="json", exclude={"heads"}), [selector, ratio, seed, head]
    key = artefacts.hash_of("segment", origin, encoder_config, settings, labels, hashes)
    if not artefacts.is_finished(path, key):
        dumped = {"encoder": encoder_config.model_dump(), "segment": config.model_dump()}
        parameters = {**dumped, "weights": origin, "head": head}
        with artefacts.recorded(path, key, parameters=parameters, seed=seed, data_hash=hashes[0], device=device):
            scores, images = _train(task)
            artefacts.write_table(out / "images.parquet", images)
            artefacts.write_table(path, scores)
    return pq.read_table(path)


class _Task(NamedTuple):
    """One encoder under one head on one set (the first), tested on the others too."""

    head: Head
    weights: Path | None
    encoder_config: EncoderConfig
    sets: Sequence[SegmentationSet]
    config: SegmentConfig
    seed: int
    labels: dict[str, object]
    device: str

    def encoder(self) -> VisionTransformer:
        """Return the encoder on the device: pre-trained, or random at the seed."""
        if self.weights is None:
            return encoders.build(self.encoder_config, self.seed).to(self.device)
        model, config = encoders.load(self.weights)
        if config != self.encoder_config:
            raise MedDELError(f"the weights are of another encoder: {config}", self.weights, "pre-train it again")
        return model.to(self.device)


def _check(sets: Sequence[SegmentationSet], config: EncoderConfig) -> None:
    names = [data.name for data in sets]
    if len(set(names)) < len(names):
        raise MedDELError("two segmentation sets have one name", ", ".join(names), "name them apart")
    for data in sets:
        side = data.images.shape[1]
        if side != config.image_size:
            problem = f"images of {side} px for an encoder of {config.image_size} px"
            raise MedDELError(problem, data.name, "decode them at the encoder's size")


class _FineTuned:
    """An encoder and a head that are trained together, on flipped images."""

    stream = "finetune"

    def __init__(self, task: _Task, encoder: VisionTransformer) -> None:
        config, self.device, self.epochs = task.config, torch.device(task.device), task.config.epochs
        self.model = MLPModel(encoder, config.hidden).to(self.device)
        decay, exempt = config.weight_decay, encoder.no_weight_decay()
        self.groups = param_groups_layer_decay(encoder, decay, exempt, layer_decay=config.layer_decay)
        self.groups += parameter_groups(self.model.head, decay)
        for group in self.groups:
            group["peak"] = config.lr * group.get("lr_scale", 1.0)

    def inputs(self, images: np.ndarray) -> Tensor:
        """Return what `logits` takes batches of."""
        return torch.from_numpy(images)

    def augmented(self, images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Mirror each image [b, s, s, 3] and its mask [b, s, s] along either axis with probability one half."""
        for axis in (1, 2):
            mirrored = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
            images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(axis), images)
            masks = torch.where(mirrored.view(-1, 1, 1), masks.flip(axis), masks)
        return images, masks

    def precision(self) -> AbstractContextManager[object]:
        """Return the context of a whole step."""
        return bfloat16_products(self.device)

    def logits(self, images: Tensor) -> Tensor:
        """Return a logit per pixel, float [b, s, s]."""
        with mixed_precision(self.device):
            return self.model(encoders.normalise(images.to(self.device)))


class _Probe(_FineTuned):
    """An MLP head on the patch tokens of a frozen encoder, which are computed once, so that many seeds are affordable.

    Tokens are standardised, each dimension by its mean and deviation over the labelled images: encoders differ in
    scale, and a head must not read that as quality.
    """

    stream = "probe"

    def __init__(self, task: _Task, encoder: VisionTransformer, labelled: np.ndarray) -> None:
        config, self.device, self.epochs = task.config, torch.device(task.device), task.config.probe_epochs
        self.encoder = encoder.eval()
        self.model = MLPHead(encoder.embed_dim, config.hidden, task.encoder_config.patch_size).to(self.device)
        groups = parameter_groups(self.model, config.weight_decay)
        self.groups = [{**group, "peak": config.probe_lr} for group in groups]
        self.deviation, self.mean = torch.std_mean(self._tokens(labelled), dim=(0, 1))

    def inputs(self, images: np.ndarray) -> Tensor:
        return self._tokens(images).sub_(self.mean).div_(self.deviation + 1e-6)

    def augmented(self, tokens: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        return tokens, masks

    def precision(self) -> AbstractContextManager[object]:
        return nullcontext()

    def logits(self, tokens: Tensor) -> Tensor:
        return self.model(tokens)

    @torch.no_grad()
    def _tokens(self, images: np.ndarray) -> Tensor:
        """Return patch tokens, float32 [n, (s / patch)^2, width]."""
        parts = torch.from_numpy(images).split(_BATCH)
        with mixed_precision(self.device):
            normalised = (encoders.normalise(part.to(self.device)) for part in parts)
            return torch.cat([patch_tokens(self.encoder, part).float() for part in normalised])


def _train(task: _Task) -> tuple[pa.Table, pa.Table]:
    """Train epoch by epoch, evaluate now and then, and return the scores and the pixels of each image."""
    start = time.perf_counter()
    data, device, rows, pixels = task.sets[0], torch.device(task.device), [], []
    chosen = data.labelled(task.config.labels, task.seed)
    images, masks, encoder = data.images[chosen], torch.from_numpy(data.masks[chosen]).to(device), task.encoder()
    with forked(device):
        torch.manual_seed(random_state(task.seed, "head"))
        network = _Probe(task, encoder, images) if task.head == "probe" else _FineTuned(task, encoder)
    optimiser = torch.optim.AdamW(network.groups, lr=task.config.lr, fused=True)
    inputs, held = network.inputs(images).to(device), {}
    seconds = time.perf_counter() - start

    def evaluate(tested: SegmentationSet, split: str, epoch: int) -> None:
        part, name = tested.rows(split), data.name if tested is data else f"{data.name}>{tested.name}"
        if (name, split) not in held:
            held[name, split] = network.inputs(tested.images[part])
        found = score(_predict(network, held[name, split]), torch.from_numpy(tested.masks[part]).to(device))
        arm = {"set": name, **task.labels, "seed": task.seed, "head": task.head, "epoch": epoch, "split": split}
        metrics = {"foreground_iou": found.foreground_iou, "two_class_miou": found.two_class_miou}
        rows.append({**arm, **metrics, "seconds": seconds})
        if epoch == network.epochs:
            counts = [found.intersection, found.union, found.foreground]
            columns = [[name] * len(part), tested.ids[part].tolist(), [split] * len(part), *counts]
            pixels.append(pa.table([pa.array(column) for column in columns], schema=IMAGES_SCHEMA))

    epochs = range(1, network.epochs + 1)
    for epoch in progress(epochs, what=f"segment {data.name} ({task.head})", unit="epoch"):
        start = time.perf_counter()
        _train_epoch(task, network, optimiser, inputs, masks, epoch - 1)
        seconds += time.perf_counter() - start
        if epoch % task.config.evaluate_every == 0 or epoch == network.epochs:
            for split in EVALUATED:
                if len(data.rows(split)):
                    evaluate(data, split, epoch)
    for other in task.sets[1:]:
        evaluate(other, "test", network.epochs)
    return pa.Table.from_pylist(rows, schema=SCORES_SCHEMA), pa.concat_tables(pixels)


def _train_epoch(
    task: _Task, network: _FineTuned, optimiser: torch.optim.Optimizer, inputs: Tensor, masks: Tensor, epoch: int
) -> None:
    batches = -(-len(inputs) // task.config.batch)
    generator = Generator().manual_seed(random_state(task.seed, network.stream, epoch))
    order = torch.randperm(len(inputs), generator=generator).tensor_split(batches)
    network.model.train()
    for step, chosen in enumerate(order, epoch * batches):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, batches * network.epochs, group["peak"], WARMUP)
        batch, truth = network.augmented(inputs[chosen], masks[chosen], generator)
        with network.precision():
            loss = segmentation_loss(network.logits(batch), truth)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
        optimiser.step()


@torch.inference_mode()
def _predict(network: _FineTuned, inputs: Tensor) -> Tensor:
    """Return where the foreground is predicted: bool [n, s, s]."""
    network.model.eval()
    with network.precision():
        return torch.cat([network.logits(part) > 0 for part in inputs.split(_BATCH)])
