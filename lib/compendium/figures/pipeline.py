"""The pipeline as a picture: its steps, the files between them, and the sections of the paper that they follow."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from compendium.figures import style

STEPS = (
    ("images", "3.1", "a folder, or\ngenerated video"),
    ("index", "3.1", "index.parquet\nid, source, split"),
    ("embed", "3.2", "store/\none vector an image"),
    ("select", "3.2", "selection.parquet\nkept or gone, and why"),
    ("pre-train", "4.1", "encoder.safetensors\nsame compute at every ratio"),
    ("segment", "4.1", "scores.parquet\nIoU per epoch"),
    ("score", "3.3", "NormDEL\ntables, verdicts"),
)
"""Step, section of the paper that it follows, and what it leaves behind."""

_WIDTH, _HEIGHT, _GAP, _IN_A_ROW = 2.1, 1.15, 0.55, 4


def pipeline() -> Figure:
    """Draw the steps from images to a score.

    Returns
    -------
    Figure
        One box a step with its file and section; the arms that are compared are named at the step that makes them.
    """
    with style.styled():
        figure, [axis] = style.new(1, 1, 9.6, 3.5)
        axis.axis("off")
        for number, (step, section, file) in enumerate(STEPS):
            _box(axis, *_place(number), step, section, file)
            if number:
                _arrow(axis, number)
        x, y = _place(len(STEPS) - 1)
        axis.text(
            x + _WIDTH + _GAP, y + _HEIGHT / 2,
            "four arms, same seeds:\nno pre-training\nall images\nrandom selection\nMedDEL",
            va="center", fontsize=8.5, color=style.GREY, linespacing=1.5,
        )  # fmt: skip
        axis.set(xlim=(-0.1, _IN_A_ROW * (_WIDTH + _GAP)), ylim=(-0.2, 2 * _HEIGHT + _GAP + 0.5), aspect="equal")
        style.message(figure, "From images to a score: every step leaves a file that can be opened")
    text = "; ".join(f"{step} (section {section}): {file}".replace("\n", ", ") for step, section, file in STEPS)
    return style.describe(figure, f"Boxes joined by arrows, in this order. {text}.")


def _place(number: int) -> tuple[float, float]:
    """Lower left corner of a box; rows run from left to right."""
    row, column = divmod(number, _IN_A_ROW)
    return column * (_WIDTH + _GAP), (1 - row) * (_HEIGHT + _GAP + 0.2)


def _box(axis: Axes, x: float, y: float, step: str, section: str, file: str) -> None:
    colour = style.RED if step == "select" else style.BLUE
    axis.add_patch(Rectangle((x, y), _WIDTH, _HEIGHT, facecolor="white", edgecolor=colour, linewidth=1.5))
    axis.text(x + 0.1, y + _HEIGHT - 0.12, step, va="top", fontsize=11, fontweight="bold", color=colour)
    axis.text(x + _WIDTH - 0.1, y + _HEIGHT - 0.15, section, va="top", ha="right", fontsize=8, color=style.GREY)
    axis.text(x + 0.1, y + 0.1, file, va="bottom", fontsize=8, linespacing=1.4)


def _arrow(axis: Axes, number: int) -> None:
    (x, y), (to_x, to_y) = _place(number - 1), _place(number)
    line = {"arrowstyle": "-|>", "color": style.GREY, "shrinkA": 0, "shrinkB": 0}
    if y == to_y:
        axis.annotate("", (to_x, y + _HEIGHT / 2), (x + _WIDTH, y + _HEIGHT / 2), arrowprops=line)
        return
    middle = to_y + _HEIGHT + (y - to_y - _HEIGHT) / 2
    axis.plot([x + _WIDTH / 2, x + _WIDTH / 2, to_x + _WIDTH / 2], [y, middle, middle], color=style.GREY, linewidth=1)
    axis.annotate("", (to_x + _WIDTH / 2, to_y + _HEIGHT), (to_x + _WIDTH / 2, middle), arrowprops=line)
