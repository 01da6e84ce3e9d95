"""Pairs of images that were found to be twins, the least alike first: those that a person should look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compendium.figures import style
from meddel.images import pixels

_SIZE = 160


def twin_pictures(twins: pa.Table, index: pa.Table, others: pa.Table, pairs: int = 12, columns: int = 6) -> Figure:
    """Draw the least alike twins, each image above its twin.

    Of every image only the most alike of its twins counts, so that many frames of one scene don't fill the figure.

    Parameters
    ----------
    twins : pa.Table
        `datadel.decontaminate.TWINS_SCHEMA`.
    index, others : pa.Table
        `meddel.images.index.INDEX_SCHEMA`: where the ids and their twins stand; the same for twins inside one set.
    pairs : int
        Greatest number of pairs drawn.
    columns : int
        Pairs side by side.

    Returns
    -------
    Figure

    Raises
    ------
    MedDELError
        An image that is gone or has changed since it was indexed.
    """
    best = _best(twins)
    shown = best[:pairs]
    lines = -(-len(shown) // columns) or 1
    counted = f"{len(best):,} image{'s' if len(best) != 1 else ''}"
    with style.styled():
        figure, axes = style.new(2 * lines, columns, 1.25 * columns + 0.6, 2.75 * lines + 0.5)
        for axis in axes:
            axis.axis("off")
        places = (_places(index), _places(others))
        for number, row in enumerate(shown):
            line, column = divmod(number, columns)
            top = 2 * line * columns + column
            _show(axes[top], places[0][row["id"]], _title(row), style.BLUE)
            _show(axes[top + columns], places[1][row["twin"]], "", style.RED)
        least = f": the {len(shown)} least alike pairs" if len(shown) < len(best) else ", the least alike first"
        has = "has" if len(best) == 1 else "have"
        message = f"{counted} (blue) {has} a twin (red){least}"
        style.message(figure, message if shown else "No image has a twin")
    pictured = [f"{row['id']} and {row['twin']}, {_title(row)}" for row in shown]
    alt = f"Pairs of twins, of {counted}: {'; '.join(pictured)}." if pictured else "No image has a twin."
    return style.describe(figure, alt)


def _best(twins: pa.Table) -> list[dict[str, Any]]:
    """Return the most alike twin of each image, from the least alike pair to the most."""
    best: dict[str, dict[str, Any]] = {}
    for row in twins.to_pylist():
        if row["id"] not in best or row["cosine"] > best[row["id"]]["cosine"]:
            best[row["id"]] = row
    return sorted(best.values(), key=lambda row: (row["cosine"], row["id"]))


def _title(row: dict[str, Any]) -> str:
    if row["kind"].startswith("same"):
        return row["kind"]
    apart = "" if row["distance"] is None else f", {row['distance']} bits"
    return f"cosine {row['cosine']:.3f}{apart}"


def _places(index: pa.Table) -> dict[str, tuple[str, str]]:
    return {row["id"]: (row["path"], row["sha256"]) for row in index.select(["id", "path", "sha256"]).to_pylist()}


def _show(axis: Axes, place: tuple[str, str], title: str, colour: str) -> None:
    axis.axis("on")
    axis.imshow(pixels.square(Path(place[0]), place[1], _SIZE))
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)
    axis.set_title(title, loc="center", fontsize=7.5)
    axis.spines[:].set(visible=True, color=colour, linewidth=2)
