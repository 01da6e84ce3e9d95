"""The paper's simple MLP head, which turns the patch tokens of a ViT into a mask, and the loss."""

from __future__ import annotations

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn


class MLPHead(nn.Module):
    """A two-layer perceptron on every patch token, whose outputs are the logits of the patch's pixels (section 4.1)."""

    def __init__(self, width: int, hidden: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, patch * patch))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits [b, s, s] of patch tokens [b, (s / patch)^2, width] in row-major order."""
        count, patches, _ = tokens.shape
        grid = round(patches**0.5)
        logits = self.layers(tokens).view(count, grid, grid, self.patch, self.patch)
        return logits.transpose(2, 3).reshape(count, grid * self.patch, grid * self.patch)


class MLPModel(nn.Module):
    """An encoder under an `MLPHead`."""

    def __init__(self, encoder: VisionTransformer, hidden: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = MLPHead(encoder.embed_dim, hidden, encoder.patch_embed.patch_size[0])

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [b, s, s] of normalised images [b, 3, s, s]."""
        return self.head(patch_tokens(self.encoder, images))


def patch_tokens(encoder: VisionTransformer, images: Tensor) -> Tensor:
    """Return the last layer's patch tokens [b, (s / patch)^2, width] of normalised images [b, 3, s, s]."""
    return encoder.forward_features(images)[:, encoder.num_prefix_tokens :]


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return cross-entropy plus one minus the soft Dice of the batch, a scalar; logits and masks are [b, s, s]."""
    logits, masks = logits.float(), masks.to(logits.device, torch.float32)
    probability = logits.sigmoid()
    dice = (2 * (probability * masks).sum() + 1) / (probability.sum() + masks.sum() + 1)
    return nn.functional.binary_cross_entropy_with_logits(logits, masks) + 1 - dice
