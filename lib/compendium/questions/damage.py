"""Faults that a pool of images can have, put into a share of it: blur, noise, compression, repeats, foreign images.

The pool keeps its size, so that a dose costs no compute: images are replaced and none is added. The doses of a seed are
nested: what is spoilt at 25 % is spoilt at 50 % too.
"""

from __future__ import annotations

import io
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageFilter

from meddel.config import check_ratio
from meddel.errors import MedDELError

Kind = Literal["blur", "noise", "jpeg", "repeats", "foreign"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BLUR, NOISE, QUALITY = 0.03, 40.0, 5
"""Gaussian blur's deviation as a share of the side, noise's deviation of 255, JPEG's quality of 100."""
DISTINCT = 0.02
"""Share of the images that stay distinct when all the others are repeats of them."""


def damaged(
    images: np.ndarray, kind: Kind, dose: float, rng: np.random.Generator, foreign: np.ndarray | None = None
) -> np.ndarray:
    """Return a pool of the same size of which the share `dose` has a fault.

    Parameters
    ----------
    images : ndarray
        uint8 [n, s, s, 3]; not changed.
    kind : {"blur", "noise", "jpeg", "repeats", "foreign"}
        ``repeats`` puts copies of the images that stay in the others' places (`DISTINCT` of them stay at least);
        ``foreign`` puts images of another kind there, as if their modality had been mistaken.
    dose : float
        From 0 to 1.
    rng : Generator
        Which images, and what noise; generators of one seed give nested doses.
    foreign : ndarray or None
        uint8 [m, s, s, 3], for ``foreign``: taken in a random order, again from the start if there are too few.

    Returns
    -------
    ndarray
        uint8 [n, s, s, 3].

    Raises
    ------
    MedDELError
        An unknown kind, a dose outside [0, 1], or no foreign images where they are asked for.
    """
    if kind not in KINDS:
        raise MedDELError(f"unknown fault {kind!r}", fix=f"choose one of {', '.join(KINDS)}")
    if dose != 0:
        check_ratio(dose)
    order = rng.permutation(len(images))
    spoilt = order[: round(dose * len(images))]
    result = images.copy()
    if kind == "repeats":
        spoilt = spoilt[: len(images) - max(1, round(DISTINCT * len(images)))]
        stay = order[len(spoilt) :]
        # the k-th of the order copies one and the same image at every dose at which that one stays
        result[spoilt] = images[stay[::-1][np.arange(len(spoilt)) % len(stay)]]
    elif kind == "foreign":
        if foreign is None or not len(foreign):
            raise MedDELError("no images of another modality", fix="give some, or leave out the fault foreign")
        result[spoilt] = foreign[rng.permutation(len(foreign))[np.arange(len(spoilt)) % len(foreign)]]
    else:
        seeds = rng.integers(0, 2**63, len(images))
        for row in spoilt:
            result[row] = _spoil(images[row], kind, np.random.default_rng(seeds[row]))
    return result


def _spoil(image: np.ndarray, kind: Kind, rng: np.random.Generator) -> np.ndarray:
    """Return one image (uint8 [s, s, 3]) with a fault of its own pixels."""
    if kind == "noise":
        return np.clip(image + rng.normal(0, NOISE, image.shape), 0, 255).astype(np.uint8)
    if kind == "blur":
        return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(BLUR * len(image))))
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="JPEG", quality=QUALITY)
    return np.asarray(Image.open(stream))
