"""Centres: each has its own endoscope and processor, hence its own colours, optics, frame and burnt-in text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FrameShape = Literal["octagon", "round", "cut_circle", "full", "octagon_box"]
TextLayout = Literal["none", "left", "top_right", "corners"]


@dataclass(frozen=True)
class Centre:
    """One hospital's equipment.

    Attributes
    ----------
    resolution : float
        Side of its images as a multiple of the asked size.
    field : float
        Angle of view from edge to edge, degrees.
    margin : float
        Black margin beside the picture, as a share of the side.
    balance : tuple of float
        White balance: gains of red, green, blue.
    saturation, exposure, gamma, vignette, blur, sharpening, noise : float
        Processor and lens. `exposure` is the brightness that the automatic gain aims at, `blur` the lens's softness
        in pixels of a 128 px image.
    colour_lag : float
        Shift between the colour fields of a sequential chip, in pixels of a 128 px image.
    mucosa : tuple of float
        Mean blood, paleness and yellowness of its patients.
    gloss, vessels, residue, facing_wall, folds, disruption : float
        How wet and how vascular the mucosa is; shares of patients with residue, of videos that look at the wall, of
        disrupted frames; and how high the folds are (1 is typical).
    """

    name: str
    resolution: float
    field: float
    frame: FrameShape
    margin: float
    text: TextLayout
    balance: tuple[float, float, float]
    mucosa: tuple[float, float, float]
    saturation: float = 1.0
    exposure: float = 0.42
    gamma: float = 2.2
    vignette: float = 0.3
    blur: float = 0.45
    sharpening: float = 0.6
    noise: float = 0.010
    colour_lag: float = 0.0
    black: tuple[int, int, int] = (4, 4, 5)
    jpeg_quality: int = 88
    gloss: float = 1.0
    vessels: float = 1.0
    residue: float = 0.3
    facing_wall: float = 0.45
    folds: float = 1.0
    disruption: float = 0.2


NORTH = Centre(
    "north", 1.0, 140, "octagon", 0.0, "left", (1.05, 1.0, 0.95), (1.3, 0.02, 0.15), exposure=0.5, disruption=0.18
)
SOUTH = Centre(
    "south", 0.875, 105, "full", 0.0, "none", (1.08, 1.0, 0.86), (0.95, 0.06, 0.3), exposure=0.64, vignette=0.1,
    blur=0.55, sharpening=0.9, colour_lag=0.8, jpeg_quality=75, facing_wall=1.0, vessels=1.5, folds=0.5,
    disruption=0.14,
)  # fmt: skip
COAST = Centre(
    "coast", 1.0, 150, "round", 0.0, "none", (1.0, 1.0, 0.85), (1.15, 0.03, 0.5), exposure=0.41, vignette=0.35,
    blur=0.7, sharpening=0.5, noise=0.012, jpeg_quality=80, gloss=0.3, residue=0.8, folds=1.3, disruption=0.26,
)  # fmt: skip
EAST = Centre(
    "east", 1.0, 140, "octagon_box", 0.0, "left", (1.08, 0.98, 0.92), (1.4, 0.02, 0.2), exposure=0.53,
    sharpening=0.7, jpeg_quality=85, gloss=1.2, facing_wall=0.6, disruption=0.11,
)  # fmt: skip
HILL = Centre(
    "hill", 1.125, 145, "cut_circle", 0.06, "corners", (1.0, 0.98, 0.9), (0.9, 0.05, 0.35), exposure=0.45,
    gamma=2.1, vignette=0.4, blur=0.6, sharpening=0.4, noise=0.008, black=(10, 10, 12), jpeg_quality=92,
    residue=0.4, facing_wall=0.55, disruption=0.12,
)  # fmt: skip
LAKE = Centre(
    "lake", 1.0, 135, "octagon", 0.03, "top_right", (1.0, 1.0, 1.0), (1.15, 0.05, 0.1), exposure=0.48,
    sharpening=0.8, jpeg_quality=82, gloss=1.1, disruption=0.12,
)  # fmt: skip
