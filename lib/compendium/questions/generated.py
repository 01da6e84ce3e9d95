"""Labelled sets for want of real ones: the run's generated endoscopy, and drawn textures in the place of nature.

They prove that a computation runs and what it would say. They say nothing about medicine or about photographs.
"""

from __future__ import annotations

import numpy as np

from compendium import truth_check
from compendium.questions.labelled import LabelledSet, from_labels
from meddel import study
from meddel.config import Run
from meddel.errors import MedDELError
from meddel.images import pixels

MODALITY = "generated endoscopy"
TEXTURES = {
    "fine stripes": (9.0, 0.0, False),
    "coarse stripes": (4.0, 0.0, False),
    "slanted stripes": (6.0, 0.8, False),
    "fine checks": (8.0, 0.2, True),
    "coarse checks": (3.5, 0.2, True),
}
"""Waves across the image, their angle in radians, and whether a second wave crosses the first."""


def endoscopy(run: Run, size: int) -> LabelledSet:
    """Return the run's generated images, labelled by whether a polyp is visible; a video falls into one part.

    Parameters
    ----------
    run : Run
        With generated data.
    size : int
        Pixels per side.

    Raises
    ------
    MedDELError
        The run's data are not generated.
    """
    table = study.study_index(run)
    truth = truth_check.read(run.data) if run.generated else None
    if truth is None:
        raise MedDELError("these data were not generated", run.data, "leave out --data")
    known = truth.to_pandas().set_index("id").loc[table["id"].to_pylist()]
    words = np.where(known.has_polyp, "polyp", "no polyp").tolist()
    groups = np.unique(known.source + known.video, return_inverse=True)[1].astype(np.int64)
    images = np.asarray(pixels.decode(table, size, run.out / "questions" / "labelled" / f"generated-{size}").images)
    return from_labels("generated_polyps", MODALITY, images, words, groups, [""] * len(words))


def textures(size: int, per_class: int = 120, seed: int = 0) -> LabelledSet:
    """Return drawn textures of five classes: waves of a class's own width and direction, in random colours, with noise.

    Parameters
    ----------
    size : int
        Pixels per side.
    per_class : int
        Images of each class.
    seed : int
        Of every draw.
    """
    rng = np.random.default_rng(seed)
    images, words = [], []
    for name, (waves, angle, crossed) in TEXTURES.items():
        for _ in range(per_class):
            images.append(_texture(rng, size, waves, angle, crossed))
            words.append(name)
    groups = np.arange(len(words))
    return from_labels("drawn_textures", "drawn", np.stack(images), words, groups, [""] * len(words))


def _texture(rng: np.random.Generator, size: int, waves: float, angle: float, crossed: bool) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / size
    turned = angle + rng.normal(0, 0.25)
    along, across = x * np.cos(turned) + y * np.sin(turned), y * np.cos(turned) - x * np.sin(turned)
    frequency, (one, two) = 2 * np.pi * waves * rng.uniform(0.85, 1.15), rng.uniform(0, 2 * np.pi, 2)
    wave = np.sin(frequency * along + one)
    if crossed:
        wave = wave * np.sin(frequency * across + two)
    light, dark = rng.uniform(60, 255, 3), rng.uniform(0, 160, 3)
    mixed = dark + (light - dark) * (0.5 + 0.5 * wave)[..., None]
    shade = 1 - 0.5 * rng.uniform() * np.hypot(x - rng.uniform(), y - rng.uniform())[..., None]
    return np.clip(mixed * shade + rng.normal(0, 18, (size, size, 3)), 0, 255).astype(np.uint8)
