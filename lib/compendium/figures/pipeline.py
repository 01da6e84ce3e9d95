"""The pipeline as a picture: its steps, the files between them, and the sections of the paper that they follow."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from compendium.figures import style

STEPS = (
    ("images", "3.1", "a folder, or\ngenerated video"),
    ("index", "3.1", "index.parquet\nid, source, split"),
    ("embed", "3.2", "store/\none vector an image"),
    ("select", "3.2", "selection.parquet\nkept or deleted, and why"),
    ("pre-train", "4.1", "encoder.safetensors\nsame compute at every ratio"),
    ("segment", "4.1", "scores.parquet\nIoU per epoch"),
    ("score", "3.3", "NormDEL\ntables, verdicts"),
)
"""Step, section of the paper that it follows, and what it leaves behind."""
_ARMS = "four arms, same seeds:\nno pre-training\nall images\nrandom selection\nMedDEL"


@style.styled()
def pipeline() -> Figure:
    """Draw the steps from images to a score, a box a step with its section and file, in two rows."""
    figure, [axis] = style.new(1, 1, 9.6, 3.4)
    axis.axis("off")
    axis.set(xlim=(0, 4), ylim=(0, 2))
    place = [(number % 4 + 0.08, 1.15 - number // 4) for number in range(len(STEPS))]
    for number, ((step, section, file), (x, y)) in enumerate(zip(STEPS, place, strict=True)):
        colour = style.RED if step == "select" else style.BLUE
        axis.add_patch(Rectangle((x, y), 0.8, 0.7, facecolor="white", edgecolor=colour, linewidth=1.5))
        axis.text(x + 0.03, y + 0.64, step, va="top", fontsize=11, fontweight="bold", color=colour)
        axis.text(x + 0.77, y + 0.62, section, va="top", ha="right", fontsize=8, color=style.GREY)
        axis.text(x + 0.03, y + 0.06, file, va="bottom", fontsize=8, linespacing=1.4)
        if number:
            before_x, before_y = place[number - 1]
            below = y != before_y
            start = (before_x + 0.4, before_y) if below else (before_x + 0.8, y + 0.35)
            end = (x + 0.4, y + 0.7) if below else (x, y + 0.35)
            axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": style.GREY, "shrinkA": 0})
    axis.text(3.1, 0.5, _ARMS, va="center", fontsize=8.5, color=style.GREY, linespacing=1.5)
    text = "; ".join(f"{step} (section {section}): {file}".replace("\n", ", ") for step, section, file in STEPS)
    return style.finish(
        figure,
        "From images to a score: every step leaves a file that can be opened",
        f"Boxes joined by arrows, in this order. {text}.",
    )
