"""SimCLR: two views of an image are embedded close together, those of other images far apart (Chen et al. 2020).

Not in the paper, which pre-trains with MAE (section 4.1), but in its group's follow-up; it shows an effect at a size
that two cores can train.
"""

from __future__ import annotations

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from timm.models.vision_transformer import VisionTransformer
from torch import Generator, Tensor, nn

from meddel.config import PretrainConfig
from meddel.pretrain.augment import SIMCLR, augment

PROJECTION = 128


class SimCLR(nn.Module):
    """A ViT, trained in place, and a projection of the mean of its patch tokens: they are what segmentation reads."""

    def __init__(self, encoder: VisionTransformer, config: PretrainConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = SimCLRProjectionHead(encoder.embed_dim, 4 * encoder.embed_dim, PROJECTION)
        self.loss = NTXentLoss(config.temperature)

    def forward(self, images: Tensor, generator: Generator) -> Tensor:
        """Return the contrastive loss (a scalar) of uint8 images [b, s, s, 3] under views that `generator` draws."""
        views = torch.cat([augment(images, SIMCLR, generator) for _ in range(2)])
        tokens = self.encoder.forward_features(views)[:, self.encoder.num_prefix_tokens :]
        first, second = self.projection(tokens.mean(dim=1)).float().chunk(2)
        return self.loss(first, second)
