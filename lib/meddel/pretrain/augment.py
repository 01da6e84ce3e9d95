"""Augmentations of a batch on its own device, with other parameters for every image and no loop over images.

Crop, flip, resize and blur are linear and act on rows and columns apart, so that together they are two small matrix
products per image; the colour jitter is linear in RGB, so that it is one 3 x 3 matrix and an offset per image. All
parameters come from a ``torch.Generator`` on the CPU: the same draws on every device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Generator, Tensor

_LUMA = torch.tensor([0.299, 0.587, 0.114])
_RGB_TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class Augmentation:
    """How far an image is changed.

    `crop` bounds the share of the area that a crop keeps, `aspect` its width to height; `flip` is the probability of
    each of the two mirrorings (an endoscope has no up). `jitter` is the probability of a change of colour by factors up
    to ``1 +- brightness``, ``1 +- contrast``, ``1 +- saturation`` and a turn of the hue by up to `hue` of the circle.
    `grey` and `blur` are probabilities; `sigma` bounds the blur's standard deviation as a share of the image's side.
    """

    crop: tuple[float, float] = (0.2, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    jitter: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    sigma: tuple[float, float] = (0.0005, 0.009)

    @property
    def coloured(self) -> bool:
        """Return whether colours are changed at all."""
        return self.jitter > 0 or self.grey > 0


MAE = Augmentation()
SIMCLR = Augmentation(
    crop=(0.2, 1.0), jitter=0.8, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, grey=0.2, blur=0.5
)


def augment(images: Tensor, settings: Augmentation, generator: Generator) -> Tensor:
    """Return one random view of every image (uint8 [b, s, s, 3], RGB), normalised as ``encoder.normalise`` does.

    `generator`, on the CPU, decides everything. The views are float32 [b, 3, s, s] on the device of `images`.
    """
    count, size = images.shape[0], images.shape[1]
    rows, columns = _resampling(count, size, settings, generator, images.device)
    view = torch.bmm(rows, images.reshape(count, size, size * 3).float())
    view = view.view(count, size, size, 3).permute(0, 3, 1, 2).reshape(count, 3 * size, size)
    view = torch.bmm(view, columns.transpose(1, 2)).view(count, 3, size * size)
    if settings.coloured:
        matrix, contrast = (value.to(images.device) for value in _colours(count, settings, generator))
        # contrast moves every colour away from the image's mean grey, which is linear in the mean colour
        mean = view.mean(dim=2, keepdim=True)
        grey = (_LUMA.to(images.device) @ torch.bmm(matrix, mean)).unsqueeze(1)
        view = torch.baddbmm((1 - contrast) * grey, contrast * matrix, view).clamp_(0, 255)
    mean = 255 * torch.tensor(IMAGENET_DEFAULT_MEAN, device=images.device).view(3, 1)
    std = 255 * torch.tensor(IMAGENET_DEFAULT_STD, device=images.device).view(3, 1)
    return view.sub_(mean).div_(std).view(count, 3, size, size)


def _uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _happens(count: int, probability: float, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator) < probability


def _resampling(
    count: int, size: int, settings: Augmentation, generator: Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the matrices [b, s, s] that crop, mirror, resize and blur the rows and the columns."""
    area = _uniform(count, *settings.crop, generator)
    aspect = _uniform(count, *(math.log(bound) for bound in settings.aspect), generator).exp()
    blurred = _happens(count, settings.blur, generator)
    sigma = torch.where(blurred, size * _uniform(count, *settings.sigma, generator), torch.zeros(count))
    kernel = _gaussian(size, sigma.to(device)) if settings.blur > 0 else None
    matrices = []
    for side in ((area / aspect).sqrt(), (area * aspect).sqrt()):
        side = side.clamp(max=1.0)
        start = torch.rand(count, generator=generator) * (1 - side)
        mirrored = _happens(count, settings.flip, generator)
        first, last = torch.where(mirrored, start + side, start), torch.where(mirrored, start, start + side)
        matrix = _interpolation(size, first.to(device), last.to(device))
        matrices.append(matrix if kernel is None else torch.bmm(kernel, matrix))
    return matrices[0], matrices[1]


def _interpolation(size: int, first: Tensor, last: Tensor) -> Tensor:
    """Return linear interpolation [b, s, s] from the window `first` to `last` of the unit interval to all of it."""
    pixel = torch.arange(size, dtype=torch.float32, device=first.device)
    source = first.unsqueeze(1) + (last - first).unsqueeze(1) * ((pixel + 0.5) / size)
    source = (source * size - 0.5).clamp(0, size - 1)
    return (1 - (source.unsqueeze(2) - pixel).abs()).clamp_(min=0)


def _gaussian(size: int, sigma: Tensor) -> Tensor:
    """Return Gaussian blurs [b, s, s] of standard deviation `sigma` pixels; the identity where it is 0."""
    pixel = torch.arange(size, dtype=torch.float32, device=sigma.device)
    squared = (pixel.unsqueeze(1) - pixel).square()
    kernel = (-squared / (2 * sigma.clamp(min=1e-3).square()).view(-1, 1, 1)).exp_()
    return kernel / kernel.sum(dim=2, keepdim=True)


def _colours(count: int, settings: Augmentation, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return RGB to RGB matrices [b, 3, 3] of brightness, saturation, hue and grey, and contrasts [b, 1, 1]."""
    changed = _happens(count, settings.jitter, generator)

    def factor(reach: float) -> Tensor:
        drawn = _uniform(count, 1 - reach, 1 + reach, generator)
        return torch.where(changed, drawn, torch.ones(count)).view(-1, 1, 1)

    brightness, contrast, saturation = (
        factor(reach) for reach in (settings.brightness, settings.contrast, settings.saturation)
    )
    turn = 2 * math.pi * (factor(settings.hue) - 1).view(-1)
    rotation = torch.eye(3).repeat(count, 1, 1)
    rotation[:, 1, 1] = rotation[:, 2, 2] = turn.cos()
    rotation[:, 1, 2], rotation[:, 2, 1] = -turn.sin(), turn.sin()
    hue = torch.linalg.inv(_RGB_TO_YIQ) @ rotation @ _RGB_TO_YIQ
    to_grey = _LUMA.expand(3, 3)
    grey = _happens(count, settings.grey, generator).view(-1, 1, 1)
    coloured = hue @ (saturation * torch.eye(3) + (1 - saturation) * to_grey)
    return brightness * torch.where(grey, to_grey @ coloured, coloured), contrast
