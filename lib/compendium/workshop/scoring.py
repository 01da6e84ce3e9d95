"""Score a kept-list in seconds: learn a dictionary of patches from its images, then train a linear probe on it.

It is a surrogate of the study, and the leaderboard says so. The *pre-training* suits a laptop (Coates and Ng 2012,
"Learning Feature Representations with K-means"): patches of the list's images are whitened and clustered, and the
centroids are the dictionary. The number of patches is the same however long the list is: equal compute. *No
pre-training* is a dictionary of random patches. The *probe* sees how near each pixel's patch is to each centroid, and
the means of that around the pixel; ridge regression on labelled images separates polyp from background.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pydantic import Field
from scipy.ndimage import uniform_filter

import meddel_kernels as kernels
from compendium.workshop import pictures
from meddel.config import Config
from meddel.images import splits

_RIDGE, _FLOOR = 10.0, 1e-4
_SOFT = 1e-2
"""Added to the variances of the whitening, as a share of the greatest. With a tenth of it the faint directions, which
are mostly noise, count as much as colour does, and a learnt dictionary is worse than a random one. It was chosen by all
images against none, before any other list was scored."""
_THRESHOLDS = np.linspace(0.05, 0.6, 34)


class Surrogate(Config):
    """The settings that scores depend on beside the list.

    `frames` is how many images the pool has of each source, and `labelled` how many each set to test on. `window` is a
    patch's side and `around` that of the square of means, in pixels; `words` is the size of the dictionary; `shares`
    are those of training, validation and test images.
    """

    frames: int = Field(pictures.CONFIG.frames_per_source, gt=0)
    labelled: int = Field(pictures.CONFIG.images_per_set, gt=0)
    window: int = Field(8, gt=1)
    words: int = Field(64, gt=1)
    patches: int = Field(20_000, gt=1)
    iterations: int = Field(15, gt=0)
    around: int = Field(9, gt=0)
    shares: tuple[float, float, float] = (0.6, 0.0, 0.4)
    seeds: int = Field(6, gt=0)


class Dictionary(NamedTuple):
    """A patch minus `mean`, times `whitening`, is compared with the rows of `words`."""

    mean: np.ndarray
    whitening: np.ndarray
    words: np.ndarray


class Scorer:
    """Scores lists of the workshop's pool."""

    def __init__(self, surrogate: Surrogate | None = None) -> None:
        self.surrogate = surrogate or Surrogate()

    @functools.cached_property
    def pool(self) -> pictures.Pictures:
        """The images that lists choose from."""
        return pictures.pool(self.surrogate.frames)

    def score(self, ids: Sequence[str] | None) -> list[float]:
        """Return the foreground IoU of each seed on the test images, a fraction, mean over the sets.

        `ids` are of the pool, each once; None scores a random dictionary.
        """
        values = []
        for seed in range(self.surrogate.seeds):
            dictionary = self._learnt(ids, np.random.default_rng(seed))
            values.append(float(np.mean([self._probed(dictionary, self._labelled(name)) for name in pictures.TESTED])))
        return values

    def _labelled(self, name: str) -> pictures.Pictures:
        return pictures.labelled(name, self.surrogate.labelled)

    def _learnt(self, ids: Sequence[str] | None, rng: np.random.Generator) -> Dictionary:
        settings = self.surrogate
        size = 3 * settings.window**2
        if ids is None:
            tested = self._labelled(pictures.TESTED[0]).images / 255
            words = rng.normal(size=(settings.words, size))
            return Dictionary(np.full(size, tested.mean()), np.eye(size) / tested.std(), words)
        place = {name: row for row, name in enumerate(self.pool.ids)}
        images = self.pool.images[sorted(place[name] for name in ids)]
        side = images.shape[1]
        chosen = (rng.integers(len(images), size=settings.patches), *rng.integers(side, size=(2, settings.patches)))
        x = _patches(images, settings.window)[chosen].reshape(settings.patches, size)
        mean = x.mean(axis=0)
        variances, directions = np.linalg.eigh(np.cov((x - mean).T))
        kept = variances > _FLOOR * variances.max()
        whitening = directions[:, kept] / np.sqrt(variances[kept] + _SOFT * variances.max())
        seed = int(rng.integers(2**31))
        found = kernels.kmeans((x - mean) @ whitening, settings.words, seed=seed, iterations=settings.iterations)
        return Dictionary(mean, whitening, found.centroids)

    def _probed(self, dictionary: Dictionary, data: pictures.Pictures) -> float:
        parts = splits.split(data.index, 0, *self.surrogate.shares)
        seen, test = (self._features(dictionary, data.images[parts == part]) for part in ("train", "test"))
        truth = {part: data.masks[parts == part].ravel() > 0 for part in ("train", "test")}
        mean, deviation = seen.mean(axis=0), seen.std(axis=0) + 1e-6
        seen, test = (seen - mean) / deviation, (test - mean) / deviation
        share = truth["train"].mean()
        weights = np.linalg.solve(seen.T @ seen + _RIDGE * np.eye(seen.shape[1]), seen.T @ (truth["train"] - share))
        fitted = seen @ weights + share
        threshold = max(_THRESHOLDS, key=lambda value: _iou(fitted > value, truth["train"]))
        return _iou(test @ weights + share > threshold, truth["test"])

    def _features(self, dictionary: Dictionary, images: np.ndarray) -> np.ndarray:
        """Return what the probe sees of each pixel: float32 [n s^2, 2 words]."""
        side, words = images.shape[1], dictionary.words
        near = np.empty((len(images), side, side, len(words)), np.float32)
        for image, out in zip(images, near, strict=True):
            x = _patches(image[None], self.surrogate.window).reshape(side * side, -1)
            z = (x - dictionary.mean) @ dictionary.whitening
            squares = (z**2).sum(axis=1)[:, None] - 2 * z @ words.T + (words**2).sum(axis=1)
            distances = np.sqrt(np.maximum(squares, 0))
            out[:] = np.maximum(0, distances.mean(axis=1, keepdims=True) - distances).reshape(out.shape)
        around = uniform_filter(near, (0, self.surrogate.around, self.surrogate.around, 0))
        return np.concatenate([near, around], axis=-1).reshape(-1, 2 * len(words))


def _patches(images: np.ndarray, window: int) -> np.ndarray:
    """Return the patch around every pixel, mirrored at the border: float32 [n, s, s, 3, window, window]."""
    before = window // 2
    border = ((0, 0), (before, window - 1 - before), (before, window - 1 - before), (0, 0))
    padded = np.pad(images.astype(np.float32) / 255, border, mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, (window, window), axis=(1, 2))


def _iou(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Return the intersection over the union of two masks (bool [n]); 1 if both are empty."""
    union = (predicted | truth).sum()
    return float((predicted & truth).sum() / union) if union else 1.0
