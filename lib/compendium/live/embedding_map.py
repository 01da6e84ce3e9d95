"""A map of the embeddings in two dimensions, coloured by cluster, video, centre, or what was kept (section 3.2)."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import ipywidgets
import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from compendium import live
from compendium.figures import style
from meddel.errors import MedDELError
from meddel.select import Ranking, budget_for

Colour = Literal["cluster", "video", "centre", "kept"]
_MOST_POINTS = 4000
_MARKERS = ("o", "s", "^", "D", "v", "P")
Looks = dict[str, tuple[str, str, int]]
_FATES: Looks = {"not kept": (style.LIGHT, ".", 12), "outlier": (style.RED, "x", 18), "kept": (style.BLUE, "o", 18)}


class Plane(NamedTuple):
    """Some images (`rows`), their `points` on two principal components, and the `shares` of the variance of those."""

    rows: np.ndarray
    points: np.ndarray
    shares: np.ndarray


def plane(embeddings: np.ndarray) -> Plane:
    """Project unit embeddings (float [n, d]) on their first two principal components; 4,000 of them, evenly spaced.

    Principal components are linear: two images which are far apart on the map are far apart in truth. Two that are
    close may still differ in the other dimensions.
    """
    if embeddings.ndim != 2 or min(embeddings.shape) < 2:
        raise MedDELError(f"no map of embeddings {embeddings.shape}", fix="give 2 or more images and dimensions")
    rows = np.unique(np.linspace(0, len(embeddings) - 1, min(len(embeddings), _MOST_POINTS)).astype(int))
    unit = np.asarray(embeddings[rows], dtype=np.float64)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    with np.errstate(invalid="ignore"):  # equal embeddings have no variance to share
        pca = PCA(2, svd_solver="full").fit(unit)
    return Plane(rows, pca.transform(unit), np.nan_to_num(pca.explained_variance_ratio_))


def map_view(
    shown: Plane, ranking: Ranking, index: pa.Table, *, colour: Colour = "cluster", ratio: float = 0.2
) -> Figure:
    """Draw the map; the six largest groups get a colour and a shape each, the others are grey.

    `ratio` is the share that is kept, for the colour ``kept``.
    """
    n = index.num_rows
    if len(ranking.order) != n or shown.rows[-1] >= n:
        raise MedDELError(f"a ranking of {len(ranking.order)} images and an index of {n}", fix="give equal rows")
    if colour not in get_args(Colour):
        raise MedDELError(f"can't colour by {colour!r}", fix=f"choose one of {', '.join(get_args(Colour))}")
    groups, note = _kept(ranking, ratio) if colour == "kept" else _groups(ranking, index, colour)
    names = groups.to_numpy()[shown.rows]
    counts = groups.value_counts()
    with style.styled():
        figure, [axis] = style.new(1, 1, 7.2, 4.6)
        drawn = _draw(axis, shown, names, counts, _FATES if colour == "kept" else None)
        axis.set_xlabel(f"component 1 ({shown.shares[0]:.0%} of the variance)")
        axis.set_ylabel(f"component 2 ({shown.shares[1]:.0%} of the variance)")
        axis.tick_params(labelbottom=False, labelleft=False, length=0)
        if drawn:
            figure.legend(loc="outside right upper", fontsize=8, markerscale=1.4)
    spoken = ", ".join(f"{name}: {counts[name]:,}" for name in drawn)
    return style.finish(
        figure,
        note,
        f"Scatter plot of {len(shown.rows):,} of {n:,} embeddings on two principal components, which hold "
        f"{shown.shares.sum():.0%} of the variance, by {colour}. {note}. {spoken}.",
    )


def map_sliders(
    shown: Plane, ranking: Ranking, index: pa.Table, *, colour: Colour = "cluster", ratio: float = 0.2
) -> ipywidgets.VBox | None:
    """Return `map_view` with a choice of the colour and a slider of the ratio; None where nobody can move it."""
    if not live.attended():
        return None
    colours = ipywidgets.ToggleButtons(options=get_args(Colour), value=colour, description="colour by")
    kept = ipywidgets.FloatSlider(
        ratio, min=min(0.01, ratio), max=1, step=0.01, description="kept", readout_format=".0%", continuous_update=False
    )
    kept.observe(lambda _: setattr(colours, "value", "kept"), "value")

    def view(colour: Colour, ratio: float) -> Figure:
        return map_view(shown, ranking, index, colour=colour, ratio=ratio)

    return live.with_controls(view, {"colour": colours, "ratio": kept})


def _kept(ranking: Ranking, ratio: float) -> tuple[pd.Series, str]:
    """Return what becomes of each image at this ratio, and the figure's message."""
    n = len(ranking.order)
    budget = budget_for(ratio, n)
    fate = np.where(ranking.outlier, "outlier", "not kept").astype(object)
    fate[ranking.order[:budget]] = "kept"
    return pd.Series(fate), f"{budget:,} of {n:,} images kept, {np.count_nonzero(fate == 'outlier'):,} outliers deleted"


def _groups(ranking: Ranking, index: pa.Table, colour: str) -> tuple[pd.Series, str]:
    """Return the group of each image, None where it is unknown, and the figure's message."""
    groups = pd.Series([None] * index.num_rows, dtype=object)
    if colour == "cluster":
        groups = pd.Series([f"cluster {cluster}" for cluster in ranking.cluster], dtype=object)
    elif colour in index.column_names:
        groups = index[colour].to_pandas().astype(object)
    number, known = groups.nunique(), int(groups.notna().sum())
    if not known:
        return groups, f"The {colour} of no image is known"
    coloured = f"all {number}" if number <= len(style.CLUSTERS) else f"the {len(style.CLUSTERS)} largest of {number}"
    rest = "" if known == len(groups) else f"; {len(groups) - known:,} of {len(groups):,} images have none"
    return groups, f"{colour.capitalize()}s: {coloured} in colour{rest}"


def _draw(axis: Axes, shown: Plane, names: np.ndarray, counts: pd.Series, looks: Looks | None) -> list[str]:
    """Draw the groups that have `looks` (None: the largest ones), the others in grey, and return their names."""
    if looks is None:
        largest = counts.sort_index(kind="stable").sort_values(ascending=False, kind="stable").index
        looks = {
            name: (*look, 16) for name, look in zip(largest, zip(style.CLUSTERS, _MARKERS, strict=True), strict=False)
        }
    drawn = [name for name in looks if (names == name).any()]
    others = ~pd.Series(names).isin(drawn).to_numpy()
    if others.any():
        _scatter(axis, shown.points[others], style.LIGHT, ".", 12, "others" if drawn else None)
    for name in drawn:
        _scatter(axis, shown.points[names == name], *looks[name], f"{name} ({counts[name]:,})")
    return drawn


def _scatter(axis: Axes, points: np.ndarray, colour: str, marker: str, size: float, label: str | None) -> None:
    looks = {"color": colour, "marker": marker, "linewidths": 1.0 if marker == "x" else 0.0, "rasterized": True}
    axis.scatter(points[:, 0], points[:, 1], s=size, label=label, **looks)
