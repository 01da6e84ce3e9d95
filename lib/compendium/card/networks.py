"""The networks of the study on one GPU, what they see and predict, and how one step of training is taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

SIDE, PATCH, GRID, TOKENS = 128, 8, 16, 256
MEAN, STD, ORIENTATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 9


@dataclass(frozen=True)
class Recipe:
    """How an encoder is pre-trained: what is predicted, how much is hidden, and how often the base length."""

    target: str
    hidden: float
    lengths: int = 1

    @property
    def kept(self) -> int:
        """The number of visible tokens."""
        return TOKENS - round(self.hidden * TOKENS)

    @property
    def outputs(self) -> int:
        """The numbers that are predicted for each patch."""
        return {"pixels": 3 * PATCH**2, "hog": 3 * ORIENTATIONS}[self.target]


RECIPES = {  # in the order in which they are tried
    "pixels75": Recipe("pixels", 0.75),
    "hog75": Recipe("hog", 0.75),
    "pixels60": Recipe("pixels", 0.6),
    "pixels75_long": Recipe("pixels", 0.75, 3),
}


@dataclass(frozen=True)
class Size:
    """The sizes of the networks and the lengths of their trainings."""

    width: int = 384
    depth: int = 12
    heads: int = 6
    decoder_width: int = 192
    decoder_depth: int = 4
    decoder_heads: int = 3
    batch: int = 256
    least_images: int = 200_000
    most_images: int = 300_000
    probe_epochs: int = 15
    fine_epochs: int = 25
    few_epochs: int = 100
    probe_batch: int = 128
    fine_batch: int = 64
    chunk: int = 64


FULL = Size()
TINY = Size(64, 2, 4, 32, 1, 2, 8, 16, 16, 1, 1, 1, 8, 4, 8)


def positions(width: int) -> Tensor:
    """Return the fixed sine and cosine positions of a masked autoencoder: float32 [1, 256, width]."""
    omega = 1 / 10000 ** (torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    angles = torch.arange(GRID, dtype=torch.float64)[:, None] * omega
    line = torch.cat([angles.sin(), angles.cos()], 1)
    down, across = line[:, None].expand(GRID, GRID, -1), line[None].expand(GRID, GRID, -1)
    return torch.cat([across, down], 2).reshape(1, TOKENS, width).float()


def initialise(module: nn.Module) -> None:
    """Draw Xavier weights, as masked autoencoders start from."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(layer.weight.view(len(layer.weight), -1))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def make_encoder(size: Size) -> VisionTransformer:
    """Make the encoder with weights of torch's global generator."""
    sizes = {"embed_dim": size.width, "depth": size.depth, "num_heads": size.heads}
    encoder = VisionTransformer(SIDE, PATCH, class_token=False, global_pool="", num_classes=0, **sizes)
    initialise(encoder)
    encoder.pos_embed.requires_grad_(False).copy_(positions(size.width))
    return encoder


class Predictor(nn.Module):
    """The light decoder of the masked autoencoder, thrown away after pre-training."""

    def __init__(self, size: Size, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Linear(size.width, size.decoder_width)
        self.hidden = nn.Parameter(torch.randn(1, 1, size.decoder_width) * 0.02)
        self.blocks = nn.ModuleList(Block(size.decoder_width, size.decoder_heads) for _ in range(size.decoder_depth))
        self.norm = nn.LayerNorm(size.decoder_width)
        self.out = nn.Linear(size.decoder_width, outputs)
        self.register_buffer("places", positions(size.decoder_width))
        initialise(self)


class Decoder(nn.Module):
    """The segmentation decoder of all heads: [b, channels, 16, 16] to logits [b, 128, 128]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix, self.mixed = nn.Conv2d(channels, 128, 1), nn.GroupNorm(8, 128)
        self.look, self.looked = nn.Conv2d(128, 128, 3, padding=1), nn.GroupNorm(8, 128)
        self.out = nn.Conv2d(128, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        x = F.gelu(self.mixed(self.mix(x)))
        x = F.gelu(self.looked(self.look(x)))
        x = self.out(F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False))
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)[:, 0].float()


def random_views(n: int, least: float, random: torch.Generator) -> Tensor:
    """Draw n crops of at least this share of the area, flipped both ways at random: affine maps [n, 2, 3]."""
    drawn = torch.rand(6, n, device=random.device, generator=random)
    area, ratio = least + (1 - least) * drawn[0], ((2 * drawn[1] - 1) * math.log(4 / 3)).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    view = torch.zeros(n, 2, 3, device=random.device)
    view[:, 0, 0], view[:, 0, 2] = width * (drawn[4] < 0.5).float().mul(2).sub(1), (2 * drawn[2] - 1) * (1 - width)
    view[:, 1, 1], view[:, 1, 2] = height * (drawn[5] < 0.5).float().mul(2).sub(1), (2 * drawn[3] - 1) * (1 - height)
    return view


def seen(x: Tensor, view: Tensor, mode: str = "bilinear") -> Tensor:
    """Return float images [n, c, 128, 128] as the views show them."""
    grid = F.affine_grid(view, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=False)


@cache
def _imagenet(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ImageNet's mean and deviation; made once, for a copy from the host makes it wait for the device."""
    return torch.tensor(MEAN, device=device).view(1, 3, 1, 1), torch.tensor(STD, device=device).view(1, 3, 1, 1)


def scaled(x: Tensor) -> Tensor:
    """Return images of 0 to 1 with ImageNet's mean and deviation taken out, a constant of every arm."""
    mean, deviation = _imagenet(x.device)
    return (x - mean) / deviation


def augmented(images: Tensor, view: Tensor, random: torch.Generator) -> Tensor:
    """Return uint8 images cropped, flipped, with light changes of brightness and contrast, and scaled."""
    drawn = torch.rand(2, len(images), 1, 1, 1, device=random.device, generator=random)
    x = (seen(images.float() / 255, view) - 0.5) * (0.8 + 0.4 * drawn[0]) + 0.4 + 0.2 * drawn[1]
    return scaled(x.clamp(0, 1))


def pixel_target(x: Tensor) -> Tensor:
    """Return the pixels of each patch, scaled to mean 0 and variance 1 within it: [b, 256, 192]."""
    patches = x.reshape(len(x), 3, GRID, PATCH, GRID, PATCH).permute(0, 2, 4, 3, 5, 1).reshape(len(x), TOKENS, -1)
    return (patches - patches.mean(-1, keepdim=True)) / (patches.var(-1, keepdim=True) + 1e-6).sqrt()


def hog_target(x: Tensor) -> Tensor:
    """Return each patch's histogram of gradient directions, by channel, of length 1: [b, 256, 27]."""
    b = len(x)
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    across, down = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2], padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    place = torch.atan2(down, across).remainder(math.pi) * (ORIENTATIONS / math.pi)
    strength = (across.square() + down.square()).sqrt()
    histogram = x.new_zeros(b, 3, ORIENTATIONS, SIDE, SIDE)
    histogram.scatter_(2, place.long().clamp(0, ORIENTATIONS - 1).unsqueeze(2), strength.unsqueeze(2))
    pooled = F.avg_pool2d(histogram.reshape(b, -1, SIDE, SIDE), PATCH).reshape(b, 3, ORIENTATIONS, TOKENS)
    return F.normalize(pooled, dim=2).reshape(b, -1, TOKENS).transpose(1, 2)


TARGETS = {"pixels": pixel_target, "hog": hog_target}


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return binary cross-entropy plus the Dice loss of the batch's images."""
    chance = logits.sigmoid()
    overlap, total = (chance * masks).sum((1, 2)), chance.sum((1, 2)) + masks.sum((1, 2))
    return F.binary_cross_entropy_with_logits(logits, masks) + (1 - (2 * overlap + 1) / (total + 1)).mean()


def optimizer(parts: Sequence[tuple[nn.Module, float]], betas: tuple[float, float]) -> torch.optim.Optimizer:
    """Return AdamW with a learning rate for each part; vectors have no weight decay."""
    groups: list[dict[str, Any]] = []
    for part, rate in parts:
        free = [p for p in part.parameters() if p.requires_grad]
        for decay, chosen in ((0.05, [p for p in free if p.ndim > 1]), (0.0, [p for p in free if p.ndim < 2])):
            groups.append({"params": chosen, "lr": rate, "most": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups, betas=betas, fused=groups[0]["params"][0].is_cuda)


def update(adam: torch.optim.Optimizer, loss: Tensor, done: float, rise: float) -> None:
    """Take one step at the learning rate of this share of the steps: linear rise, cosine fall."""
    fall = 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise)))
    for group in adam.param_groups:
        group["lr"] = group["most"] * ((done + 1e-3) / rise if done < rise else fall)
    adam.zero_grad(set_to_none=True)
    loss.backward()
    adam.step()
