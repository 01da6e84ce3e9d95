"""A map of the embeddings in two dimensions, coloured by cluster, video, centre, or what was kept (section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import ipywidgets
import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from compendium.figures import style
from compendium.live.panel import Panel
from meddel.errors import MedDELError
from meddel.select import budget_for
from meddel.select.ranking import Ranking

Colour = Literal["cluster", "video", "centre", "kept"]
_MOST_POINTS = 4000
_MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True)
class Plane:
    """Images on the first two principal components of their unit embeddings.

    Attributes
    ----------
    rows : int64 [m]
        Which images: all, or 4,000 of them, evenly spaced.
    points : float64 [m, 2]
    shares : float64 [2]
        Of the variance, fractions.
    """

    rows: np.ndarray
    points: np.ndarray
    shares: np.ndarray


def plane(embeddings: np.ndarray) -> Plane:
    """Project embeddings, the same way each time.

    Principal components, because they are linear: what is far apart on the map is far apart in truth, and a map can be
    compared with another one. What lies together may still differ in the other dimensions.

    Parameters
    ----------
    embeddings : ndarray of float [n, d]
        n and d at least 2, no row of zeros.

    Raises
    ------
    MedDELError
        There are fewer rows or columns.
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
    """Draw the map.

    Parameters
    ----------
    shown : Plane
    ranking : Ranking
        Of all n images.
    index : pyarrow.Table
        n rows, for ``video`` and ``centre``.
    colour : {"cluster", "video", "centre", "kept"}
        The six largest groups get a colour and a shape each, the others are grey.
    ratio : float
        Share to keep, in (0, 1].

    Returns
    -------
    Figure

    Raises
    ------
    MedDELError
        The colour is unknown, the numbers of rows differ, or the ratio is out of range.
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
        drawn = _draw_kept(axis, shown, names) if colour == "kept" else _draw_groups(axis, shown, names, counts)
        axis.set_xlabel(f"component 1 ({shown.shares[0]:.0%} of the variance)")
        axis.set_ylabel(f"component 2 ({shown.shares[1]:.0%} of the variance)")
        axis.tick_params(labelbottom=False, labelleft=False, length=0)
        if drawn:
            figure.legend(loc="outside right upper", fontsize=8, markerscale=1.4)
        style.message(figure, note)
    spoken = ", ".join(f"{name}: {counts[name]:,}" for name in drawn)
    return style.describe(
        figure,
        f"Scatter plot of {len(shown.rows):,} of {n:,} embeddings on two principal components, which hold "
        f"{shown.shares.sum():.0%} of the variance, by {colour}. {note}. {spoken}.",
    )


def map_panel(
    shown: Plane, ranking: Ranking, index: pa.Table, *, colour: Colour = "cluster", ratio: float = 0.2
) -> Panel:
    """Return `map_view` with a choice of the colour and a slider of the ratio, which begin at those given."""

    def view(**settings: object) -> Figure:
        return map_view(shown, ranking, index, **settings)

    def controls() -> dict[str, ipywidgets.DOMWidget]:
        return {
            "colour": ipywidgets.ToggleButtons(
                options=list(get_args(Colour)), value=colour, description="colour by"
            ),
            "ratio": ipywidgets.FloatSlider(
                value=ratio, min=min(0.01, ratio), max=1, step=0.01, description="kept", readout_format=".0%",
                continuous_update=False,
            ),
        }  # fmt: skip

    return Panel(view, controls, sets={"ratio": ("colour", "kept")})


def _kept(ranking: Ranking, ratio: float) -> tuple[pd.Series, str]:
    """What became of each image at this ratio, and the figure's message."""
    n = len(ranking.order)
    budget = budget_for(ratio, n)
    fate = np.where(ranking.outlier, "outlier", "not kept").astype(object)
    fate[ranking.order[:budget]] = "kept"
    return pd.Series(fate), f"{budget:,} of {n:,} images kept, {np.count_nonzero(fate == 'outlier'):,} outliers gone"


def _groups(ranking: Ranking, index: pa.Table, colour: str) -> tuple[pd.Series, str]:
    """The group of each image, None where it is unknown, and the figure's message."""
    if colour == "cluster":
        groups = pd.Series([f"cluster {cluster}" for cluster in ranking.cluster], dtype=object)
    elif colour in index.column_names:
        groups = index[colour].to_pandas().astype(object)
    else:
        groups = pd.Series([None] * index.num_rows, dtype=object)
    number, known = groups.nunique(), int(groups.notna().sum())
    if not known:
        return groups, f"No image says its {colour}"
    coloured = f"all {number}" if number <= len(style.CLUSTERS) else f"the {len(style.CLUSTERS)} largest of {number}"
    rest = "" if known == len(groups) else f"; {len(groups) - known:,} of {len(groups):,} images say none"
    return groups, f"{colour.capitalize()}s: {coloured} in colour{rest}"


def _draw_groups(axis: Axes, shown: Plane, names: np.ndarray, counts: pd.Series) -> list[str]:
    """Draw the largest groups, and return their names."""
    largest = counts.sort_index(kind="stable").sort_values(ascending=False, kind="stable").index
    largest = list(largest[: len(style.CLUSTERS)])
    others = ~pd.Series(names).isin(largest).to_numpy()
    _scatter(axis, shown.points[others], style.LIGHT, ".", 12, "others" if others.any() and largest else None)
    for name, colour, marker in zip(largest, style.CLUSTERS, _MARKERS, strict=False):
        _scatter(axis, shown.points[names == name], colour, marker, 16, f"{name} ({counts[name]:,})")
    return largest


def _draw_kept(axis: Axes, shown: Plane, names: np.ndarray) -> list[str]:
    """Draw what became of the images, and return what did."""
    looks = {"not kept": (style.LIGHT, ".", 12), "outlier": (style.RED, "x", 18), "kept": (style.BLUE, "o", 18)}
    for name, look in looks.items():
        if (names == name).any():
            _scatter(axis, shown.points[names == name], *look, name)
    return [name for name in looks if (names == name).any()]


def _scatter(axis: Axes, points: np.ndarray, colour: str, marker: str, size: float, label: str | None) -> None:
    line = 1.0 if marker == "x" else 0.0
    axis.scatter(
        points[:, 0], points[:, 1], s=size, color=colour, marker=marker, linewidths=line, label=label, rasterized=True
    )
