"""Masked autoencoder (He et al. 2022), the paper's pre-training (section 4.1): rebuild the patches that were hidden."""

from __future__ import annotations

import torch
from lightly.models.modules import MaskedVisionTransformerDecoderTIMM, MaskedVisionTransformerTIMM
from lightly.models.utils import get_at_index, patchify, repeat_token, set_at_index
from timm.models.vision_transformer import VisionTransformer
from torch import Generator, Tensor, nn

from meddel.config import PretrainConfig
from meddel.errors import MedDELError
from meddel.pretrain.augment import MAE as AUGMENTATION
from meddel.pretrain.augment import augment

HEAD_WIDTH = 32


class MAE(nn.Module):
    """A ViT that sees a share of the patches, and a small decoder that predicts the pixels of the others.

    Position embeddings are fixed sines, as in MAE. The encoder is trained in place; its weights are drawn again as MAE
    draws them, from torch's global generator. A mask ratio that hides no patch or every patch is refused.
    """

    def __init__(self, encoder: VisionTransformer, config: PretrainConfig) -> None:
        super().__init__()
        patches = self.patches = encoder.patch_embed.num_patches
        self.patch_size = encoder.patch_embed.patch_size[0]
        self.prefix = encoder.num_prefix_tokens
        self.visible = round(patches * (1 - config.mask_ratio))
        if not 0 < self.visible < patches:
            raise MedDELError(
                f"a mask ratio of {config.mask_ratio} leaves {self.visible} of {patches} patches visible",
                fix="choose a ratio nearer 0.75 or smaller patches",
            )
        self.encoder = encoder
        self.masked = MaskedVisionTransformerTIMM(encoder, pos_embed_initialization="sincos")
        self.embed = nn.Linear(encoder.embed_dim, config.decoder_width)
        self.decoder = MaskedVisionTransformerDecoderTIMM(
            num_patches=patches,
            embed_dim=config.decoder_width,
            depth=config.decoder_depth,
            num_heads=max(1, config.decoder_width // HEAD_WIDTH),
            num_prefix_tokens=self.prefix,
        )
        self.predict = nn.Linear(config.decoder_width, 3 * self.patch_size**2)

    def forward(self, images: Tensor, generator: Generator) -> Tensor:
        """Return the mean squared error (a scalar) on the hidden patches of uint8 images [b, s, s, 3]."""
        views = augment(images, AUGMENTATION, generator)
        order = torch.rand(len(views), self.patches, generator=generator).argsort(dim=1).to(views.device)
        shown, hidden = order[:, : self.visible], order[:, self.visible :]
        predicted = self.predicted(views, shown, hidden)
        return nn.functional.mse_loss(predicted, self.target(views, hidden))

    def predicted(self, views: Tensor, shown: Tensor, asked: Tensor) -> Tensor:
        """Return the patches `asked` (int64 [b, a]) of normalised views, as predicted from `shown` (int64 [b, v])."""
        prefix = torch.arange(self.prefix, device=views.device).expand(len(views), -1)
        keep = torch.cat([prefix, shown + self.prefix], dim=1)
        tokens = self.embed(self.masked.encode(views, idx_keep=keep))
        sequence = repeat_token(self.decoder.mask_token, (len(views), self.decoder.sequence_length))
        decoded = self.decoder(set_at_index(sequence, keep, tokens.type_as(sequence)))
        return self.predict(get_at_index(decoded, asked + self.prefix)).float()

    def target(self, views: Tensor, asked: Tensor) -> Tensor:
        """Return the pixels of the patches `asked`, each patch normalised to zero mean and unit variance."""
        patches = get_at_index(patchify(views, self.patch_size), asked)
        variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
        return (patches - mean) / (variance + 1e-6).sqrt()
