"""Fig. 2: MedDEL's three steps on real embeddings (section 3.2)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from compendium.figures import style
from meddel.errors import MedDELError

_MOST_POINTS = 4000


def fig2(embeddings: np.ndarray, selection: pa.Table) -> Figure:
    """Draw clusters, outliers and near duplicates on the first two principal components.

    Parameters
    ----------
    embeddings : ndarray of float [n, d]
        In the selection's row order; normalised to unit length here, as the cosine does.
    selection : pa.Table
        SELECTION of n rows with clusters.

    Returns
    -------
    Figure
        Three panels: the largest clusters in colour, the outliers, and what stays of the rest.

    Raises
    ------
    MedDELError
        The numbers of rows differ, there are fewer than 3, or the selection has no clusters.
    """
    table = selection.to_pandas()
    if len(table) != len(embeddings) or len(table) < 3:
        raise MedDELError(
            f"{len(embeddings)} embeddings and {len(table)} selected rows", fix="give equal rows, 3 or more"
        )
    if table.cluster.isna().all():
        raise MedDELError("the selection has no clusters", fix="give a selection by MedDEL")
    rows, plane, share = _project(embeddings)
    shown = table.iloc[rows]
    outlier = (shown.reason == "outlier").to_numpy()
    kept = shown.kept.to_numpy(dtype=bool)
    counts = table.reason.where(~table.kept, "kept").value_counts()
    with style.styled():
        figure, axes = style.new(1, 3, 9.6, 3.7, sharex=True, sharey=True)
        sizes = table.cluster.value_counts().sort_index(kind="stable")
        largest = sizes.sort_values(ascending=False, kind="stable").index
        _scatter(axes[0], plane, style.LIGHT, 5)
        for colour, cluster in zip(style.CLUSTERS, largest, strict=False):
            _scatter(axes[0], plane[(shown.cluster == cluster).to_numpy()], colour, 9)
        axes[0].set_title(f"1 cluster: {min(len(largest), len(style.CLUSTERS))} of {len(largest)} in colour")
        _scatter(axes[1], plane[~outlier], style.LIGHT, 5)
        _scatter(axes[1], plane[outlier], style.RED, 14, "x")
        axes[1].set_title(f"2 drop outliers (×): {counts.get('outlier', 0):,} images")
        _scatter(axes[2], plane[~kept & ~outlier], style.LIGHT, 5)
        _scatter(axes[2], plane[kept], style.BLUE, 11)
        axes[2].set_title(f"3 drop near duplicates: {counts.get('kept', 0):,} stay (blue)")
        axes[0].set_ylabel(f"component 2 ({share[1]:.0f} % of variance)")
        for axis in axes:
            axis.set_xlabel(f"component 1 ({share[0]:.0f} % of variance)")
            axis.tick_params(labelbottom=False, labelleft=False, length=0)
        style.message(figure, f"MedDEL keeps {table.kept.mean():.1%} of {len(table):,} images")
    return style.describe(
        figure,
        f"Three scatter plots of {len(rows):,} embeddings on two principal components: {len(largest)} clusters; "
        f"{counts.get('outlier', 0):,} outliers; {counts.get('kept', 0):,} of {len(table):,} images kept, "
        f"{counts.get('duplicate', 0):,} dropped as near duplicates.",
    )


def _project(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers [m], their first two principal components [m, 2], and each component's share of the variance in %."""
    # Evenly spaced rows are enough to see the shape; all of a large pool would be a blot.
    rows = np.unique(np.linspace(0, len(embeddings) - 1, min(len(embeddings), _MOST_POINTS)).astype(int))
    points = np.asarray(embeddings[rows], dtype=np.float64)
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    pca = PCA(2, svd_solver="full").fit(points)
    return rows, pca.transform(points), 100 * pca.explained_variance_ratio_


def _scatter(axis: Axes, points: np.ndarray, colour: str, size: float, marker: str = "o") -> None:
    widths = 1.0 if marker == "x" else 0.0
    axis.scatter(points[:, 0], points[:, 1], s=size, color=colour, marker=marker, linewidths=widths, rasterized=True)
