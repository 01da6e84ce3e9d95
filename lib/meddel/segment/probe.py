"""A frozen encoder under an MLP head: features once, the head in seconds, so that many seeds are affordable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Generator, Tensor

from meddel.config import EncoderConfig, SegmentConfig
from meddel.encoder import normalise
from meddel.pretrain.optimise import forked, learning_rate, mixed_precision, parameter_groups
from meddel.pretrain.order import random_state
from meddel.segment.data import EVALUATED, SegmentationSet
from meddel.segment.heads import MLPHead, patch_tokens, segmentation_loss
from meddel.segment.task import Predict, Task, run

WARMUP = 0.1
_BATCH = 64


def probe(
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
    """Train an MLP head on the frozen encoder's patch tokens and score every epoch on validation and test.

    Parameters are those of `meddel.segment.task.Task`. The tokens are standardised, each of their dimensions by its
    mean and deviation over the labelled images: encoders differ in scale, and a head must not read that as quality.

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
    return run(task, "probe", _prepare)


def _prepare(task: Task) -> tuple[int, Callable[[int], None], Predict]:
    device, config = torch.device(task.device), task.config
    labelled = task.data.labelled(config.labels, task.seed)
    encoder = task.model().eval()
    train = _features(encoder, task.data.images[labelled], device)
    evaluated = {
        (data.name, split): _features(encoder, data.images[data.rows(split)], device)
        for data, splits in ((task.data, EVALUATED), *((other, ("test",)) for other in task.transfer))
        for split in splits
    }
    deviation, mean = torch.std_mean(train, dim=(0, 1))
    for tokens in (train, *evaluated.values()):
        tokens.sub_(mean).div_(deviation + 1e-6)
    masks = torch.from_numpy(task.data.masks[labelled]).to(device)
    with forked(device):
        torch.manual_seed(random_state(task.seed, "head"))
        head = MLPHead(task.encoder_config.width, config.hidden, task.encoder_config.patch_size).to(device)
    optimiser = torch.optim.AdamW(parameter_groups(head, config.weight_decay), lr=config.probe_lr, fused=True)
    batches = -(-len(labelled) // config.batch)

    def train_epoch(epoch: int) -> None:
        generator = Generator().manual_seed(random_state(task.seed, "probe", epoch))
        order = torch.randperm(len(labelled), generator=generator)
        for number, chosen in enumerate(order.tensor_split(batches)):
            step = epoch * batches + number
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, batches * config.probe_epochs, config.probe_lr, WARMUP)
            loss = segmentation_loss(head(train[chosen]), masks[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

    @torch.inference_mode()
    def predict(data: SegmentationSet, split: str) -> Tensor:
        return torch.cat([head(part) > 0 for part in evaluated[data.name, split].split(_BATCH)])

    return config.probe_epochs, train_epoch, predict


@torch.no_grad()
def _features(encoder: VisionTransformer, images: np.ndarray, device: torch.device) -> Tensor:
    """Return the patch tokens, float32 [n, (s / patch)^2, width], of uint8 images [n, s, s, 3]."""
    parts = torch.from_numpy(images).split(_BATCH)
    with mixed_precision(device):
        return torch.cat([patch_tokens(encoder, normalise(part.to(device))).float() for part in parts])
