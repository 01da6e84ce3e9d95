"""Fine-tune encoder and head together (section 4.1): the paper's simple MLP head, or a DPT decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import torch
from timm.optim import param_groups_layer_decay
from torch import Generator, Tensor, nn

from meddel.config import EncoderConfig, SegmentConfig
from meddel.encoder import normalise
from meddel.pretrain.optimise import bfloat16_products, forked, learning_rate, mixed_precision, parameter_groups
from meddel.pretrain.order import random_state
from meddel.segment.data import SegmentationSet
from meddel.segment.heads import DPTModel, MLPModel, segmentation_loss
from meddel.segment.task import Predict, Task, run

WARMUP = 0.1
_EVALUATION_BATCH = 64


def finetune(
    encoder: Path | None,
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
    """Fine-tune with the paper's simple MLP head and score every epoch on validation and test.

    Parameters are those of `meddel.segment.task.Task`. AdamW with warm-up and cosine, rates that fall by `layer_decay`
    from block to block towards the input, flips, cross-entropy plus Dice.

    Returns
    -------
    Table
        Of `SCORES_SCHEMA`.

    Raises
    ------
    MedDELError
        The weights or the images don't fit `encoder_config`.
    """
    task = Task(encoder, encoder_config, data, config, seed, selector, ratio, out, device, transfer)
    return run(task, "mlp", lambda task: _prepare(task, lambda vit: MLPModel(vit, config.hidden)))


def dpt(
    encoder: Path | None,
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
    """Fine-tune the same encoder under a DPT decoder; otherwise as `finetune`. Not in the paper.

    Raises
    ------
    MedDELError
        The weights or the images don't fit `encoder_config`, or DPT can't read its patches.
    """
    task = Task(encoder, encoder_config, data, config, seed, selector, ratio, out, device, transfer)
    return run(task, "dpt", lambda task: _prepare(task, DPTModel))


def _prepare(task: Task, build: Callable[..., nn.Module]) -> tuple[int, Callable[[int], None], Predict]:
    device, config = torch.device(task.device), task.config
    with forked(device):
        torch.manual_seed(random_state(task.seed, "head"))
        model = build(task.model()).to(device)
    optimiser = torch.optim.AdamW(_groups(model, config), lr=config.lr, fused=True)
    labelled = task.data.labelled(config.labels, task.seed)
    images = torch.from_numpy(task.data.images[labelled]).to(device)
    masks = torch.from_numpy(task.data.masks[labelled]).to(device)
    batches = -(-len(labelled) // config.batch)

    @forked(device)  # a decoder may drop units, which torch draws from its global generators
    def train_epoch(epoch: int) -> None:
        model.train()
        torch.manual_seed(random_state(task.seed, "dropout", epoch))
        generator = Generator().manual_seed(random_state(task.seed, "finetune", epoch))
        order = torch.randperm(len(labelled), generator=generator)
        for number, chosen in enumerate(order.tensor_split(batches)):
            step = epoch * batches + number
            for group in optimiser.param_groups:
                peak = config.lr * group["lr_scale"]
                group["lr"] = learning_rate(step, batches * config.epochs, peak, WARMUP)
            batch, truth = _flipped(images[chosen], masks[chosen], generator)
            with bfloat16_products(device):
                with mixed_precision(device):
                    logits = model(normalise(batch))
                loss = segmentation_loss(logits, truth)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
            optimiser.step()

    @torch.inference_mode()
    def predict(data: SegmentationSet, split: str) -> Tensor:
        model.eval()
        parts = torch.from_numpy(data.images[data.rows(split)]).split(_EVALUATION_BATCH)
        with mixed_precision(device), bfloat16_products(device):
            return torch.cat([model(normalise(part.to(device))) > 0 for part in parts])

    return config.epochs, train_epoch, predict


def _groups(model: nn.Module, config: SegmentConfig) -> list[dict[str, object]]:
    """Return AdamW's groups with `lr_scale`: 1 for the head, powers of `layer_decay` down the encoder."""
    encoder = model.encoder
    groups = param_groups_layer_decay(
        encoder, config.weight_decay, encoder.no_weight_decay(), layer_decay=config.layer_decay
    )
    rest = nn.ModuleList([module for name, module in model.named_children() if name != "encoder"])
    return groups + [{**group, "lr_scale": 1.0} for group in parameter_groups(rest, config.weight_decay)]


def _flipped(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Mirror each image [b, s, s, 3] and its mask [b, s, s] along either axis with probability one half."""
    for axis in (1, 2):
        mirrored = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
        images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(axis), images)
        masks = torch.where(mirrored.view(-1, 1, 1), masks.flip(axis), masks)
    return images, masks
