"""Shared by pre-training and fine-tuning: the rate's schedule, AdamW's groups, lower precision, random state."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Return the rate of `step` (0-based): linear warm-up over the share `warmup`, then a cosine to 0 (section 4.1)."""
    rising = math.ceil(warmup * steps)
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return AdamW's groups: weight decay on matrices, none on biases, norms, tokens and position embeddings."""
    trained = [(name, value) for name, value in model.named_parameters() if value.requires_grad]

    def exempt(name: str, value: Tensor) -> bool:
        return value.ndim <= 1 or name.endswith(("pos_embed", "cls_token", "mask_token"))

    return [
        {"params": [value for name, value in trained if not exempt(name, value)], "weight_decay": weight_decay},
        {"params": [value for name, value in trained if exempt(name, value)], "weight_decay": 0.0},
    ]


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return bfloat16 autocast on a GPU that has it, else a context that does nothing."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


@contextmanager
def bfloat16_products(device: torch.device) -> Iterator[None]:
    """Let products of float32 matrices be computed from bfloat16 on a CPU that can; sums stay float32.

    For a whole step, backward pass and all. Measured on an AMD EPYC (Zen 5), one thread, MAE of a ViT of width 128: 1.5
    times the images per second. Attention is written out, because torch's fused kernel for CPUs gets slower by this.
    """
    if device.type != "cpu" or not torch.cpu.get_capabilities().get("avx512_bf16"):
        yield
        return
    setting = torch.backends.mkldnn.matmul
    before = setting.fp32_precision
    setting.fp32_precision = "bf16"
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        setting.fp32_precision = before


@contextmanager
def forked(device: torch.device) -> Iterator[None]:
    """Give torch's global generators back as they were when the block ends."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
