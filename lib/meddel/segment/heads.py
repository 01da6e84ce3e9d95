"""What turns the patch tokens of a ViT into a mask: the paper's simple MLP, or a DPT decoder.

A head takes normalised features and returns a logit per pixel: float [b, s, s].
"""

from __future__ import annotations

import torch
from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder, DPTSegmentationHead
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from meddel.errors import MedDELError


class MLPHead(nn.Module):
    """A two-layer perceptron on every patch token, whose outputs are the logits of the patch's pixels (section 4.1).

    Parameters
    ----------
    width : int
        Of the tokens.
    hidden : int
        Units of the hidden layer.
    patch : int
        Side of a patch in pixels.
    """

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


class DPTModel(nn.Module):
    """An encoder under the DPT decoder of segmentation_models_pytorch, which reads up to four of its blocks.

    Raises
    ------
    MedDELError
        Patches that the decoder's pyramid of strides 4, 8, 16, 32 can't be made from, or an image that is no multiple.
    """

    def __init__(self, encoder: VisionTransformer) -> None:
        super().__init__()
        depth, width = len(encoder.blocks), encoder.embed_dim
        side, patch = encoder.patch_embed.img_size[0], encoder.patch_embed.patch_size[0]
        stages = min(4, depth)
        coarsest = 2 ** (stages + 1)
        if patch not in (4, 8, 16, 32) or side % max(coarsest, patch):
            raise MedDELError(
                f"DPT can't read a ViT with patches of {patch} px on images of {side} px",
                fix=f"use patches of 4, 8, 16 or 32 px and a multiple of {coarsest} px",
            )
        self.encoder = encoder
        self.blocks = [(stage + 1) * depth // stages - 1 for stage in range(stages)]
        fusion = max(32, width // 3)  # 256 at ViT-Base, as DPT's authors have it
        self.decoder = DPTDecoder(
            encoder_out_channels=[width] * stages,
            encoder_output_strides=[patch] * stages,
            encoder_has_prefix_tokens=encoder.num_prefix_tokens > 0,
            intermediate_channels=[fusion, 2 * fusion, 4 * fusion, 4 * fusion][:stages],
            fusion_channels=fusion,
        )
        self.head = DPTSegmentationHead(fusion, out_channels=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [b, s, s] of normalised images [b, 3, s, s]."""
        maps = self.encoder.forward_intermediates(
            images, indices=self.blocks, return_prefix_tokens=True, intermediates_only=True
        )
        features, prefixes = zip(*maps, strict=True)
        return self.head(self.decoder(list(features), list(prefixes))).squeeze(1)


def patch_tokens(encoder: VisionTransformer, images: Tensor) -> Tensor:
    """Return the last layer's patch tokens [b, (s / patch)^2, width] of normalised images [b, 3, s, s]."""
    return encoder.forward_features(images)[:, encoder.num_prefix_tokens :]


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return cross-entropy plus one minus the soft Dice of the batch, a scalar; logits and masks are [b, s, s]."""
    logits, masks = logits.float(), masks.to(logits.device, torch.float32)
    probability = logits.sigmoid()
    dice = (2 * (probability * masks).sum() + 1) / (probability.sum() + masks.sum() + 1)
    return nn.functional.binary_cross_entropy_with_logits(logits, masks) + 1 - dice
