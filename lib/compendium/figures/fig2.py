"""Fig. 2, MedDEL's three steps on real embeddings (section 3.2), and what its two thresholds decide."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from compendium import published
from compendium.figures import style
from meddel.errors import MedDELError
from meddel.select import Ranking, eta_curve

_MOST_POINTS = 4000


@style.styled()
def fig2(embeddings: np.ndarray, selection: pa.Table) -> Figure:
    """Draw clusters, outliers and near duplicates on the first two principal components.

    `embeddings` [n, d] are in the row order of `selection`, a SELECTION with clusters; the cosine's unit length is
    taken here.
    """
    table = selection.to_pandas()
    if len(table) != len(embeddings) or len(table) < 3:
        raise MedDELError(
            f"{len(embeddings)} embeddings and {len(table)} selected rows", fix="give equal rows, 3 or more"
        )
    if table.cluster.isna().all():
        raise MedDELError("the selection has no clusters", fix="give a selection by MedDEL")
    # Evenly spaced rows are enough to see the shape; all of a large pool would be a blot.
    rows = np.unique(np.linspace(0, len(table) - 1, min(len(table), _MOST_POINTS)).astype(int))
    points = np.asarray(embeddings[rows], dtype=np.float64)
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    pca = PCA(2, svd_solver="full").fit(points)
    plane, share, shown = pca.transform(points), 100 * pca.explained_variance_ratio_, table.iloc[rows]
    outlier, kept = (shown.reason == "outlier").to_numpy(), shown.kept.to_numpy(dtype=bool)
    counts = table.reason.where(~table.kept, "kept").value_counts()
    outliers, stay, gone = (counts.get(reason, 0) for reason in ("outlier", "kept", "duplicate"))
    largest = table.cluster.value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable").index
    figure, axes = style.new(1, 3, 9.6, 3.7, sharex=True, sharey=True)
    _scatter(axes[0], plane, style.LIGHT, 5)
    for colour, cluster in zip(style.CLUSTERS, largest, strict=False):
        _scatter(axes[0], plane[(shown.cluster == cluster).to_numpy()], colour, 9)
    _scatter(axes[1], plane[~outlier], style.LIGHT, 5)
    _scatter(axes[1], plane[outlier], style.RED, 14, "x")
    _scatter(axes[2], plane[~kept & ~outlier], style.LIGHT, 5)
    _scatter(axes[2], plane[kept], style.BLUE, 11)
    axes[0].set_title(f"1 cluster: {min(len(largest), len(style.CLUSTERS))} of {len(largest)} in colour")
    axes[1].set_title(f"2 drop outliers (×): {outliers:,} images")
    axes[2].set_title(f"3 drop near duplicates: {stay:,} kept (blue)")
    axes[0].set_ylabel(f"component 2 ({share[1]:.0f} % of variance)")
    for axis in axes:
        axis.set_xlabel(f"component 1 ({share[0]:.0f} % of variance)")
        axis.tick_params(labelbottom=False, labelleft=False, length=0)
    return style.finish(
        figure,
        f"MedDEL keeps {table.kept.mean():.1%} of {len(table):,} images",
        f"Three scatter plots of {len(rows):,} embeddings on two principal components: {len(largest)} clusters; "
        f"{outliers:,} outliers; {stay:,} of {len(table):,} images kept, {gone:,} dropped as near duplicates.",
    )


def _scatter(axis: Axes, points: np.ndarray, colour: str, size: float, marker: str = "o") -> None:
    widths = 1.0 if marker == "x" else 0.0
    axis.scatter(points[:, 0], points[:, 1], s=size, color=colour, marker=marker, linewidths=widths, rasterized=True)


@style.styled()
def distances(ranking: Ranking, eps: float) -> Figure:
    """Draw the distances of all images to their centroids beside the threshold of the eps filter."""
    distance, beyond = ranking.distance, int(ranking.outlier.sum())
    figure, [axis] = style.new(1, 1, 6.4, 3.0)
    axis.hist(distance, bins=60, color=style.BLUE)
    axis.axvline(eps, color=style.RED, linestyle="--", label=f"eps = {eps:g}")
    axis.set(xlabel="distance to the centroid", ylabel="images", xlim=(0, max(1.0, 1.05 * distance.max())))
    axis.legend()
    return style.finish(
        figure,
        f"{beyond:,} of {len(distance):,} images are beyond eps",
        f"Histogram of the distances of {len(distance):,} images to their centroids: median {np.median(distance):.3f}, "
        f"greatest {distance.max():.3f}; eps {eps:g} is exceeded by {beyond:,}.",
    )


@style.styled()
def eta_curves(rankings: Mapping[int, Ranking]) -> Figure:
    """Draw the share of images that every eta keeps, a line per number of clusters (at most six), beside Table 2."""
    levels = published.thresholds()
    below = levels[levels.eta < 1]
    middle = sorted(rankings)[len(rankings) // 2]
    n = len(rankings[middle].cosine)
    figure, [axis] = style.new(1, 1, 6.4, 3.8)
    for colour, k in zip((style.SKY, style.BLUE, style.PURPLE, *style.RATIOS), sorted(rankings), strict=False):
        eta, ratio = eta_curve(rankings[k])
        axis.step(np.maximum(1 - eta, 1e-9), 100 * ratio, where="post", color=colour, label=f"this run, k = {k}")
    axis.axhline(100 * middle / n, color=style.GREY, linestyle=":", label=f"k / n for k = {middle}")
    axis.plot(1 - below.eta, 100 * below.exact_ratio, "s", color=style.RED, label="Table 2")
    ticks = np.array([0.5, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0001])
    axis.set(xscale="log", xlabel="eta (cosine), stretched towards 1", ylabel="images kept (%)")
    axis.set_xticks(ticks, [f"{1 - tick:g}" for tick in ticks], minor=False)
    axis.set_xlim(0.6, 0.00007)
    axis.legend(loc="upper left")
    text = "; ".join(
        f"{row.eta:.2f}: {row.exact_ratio:.1%} and {(rankings[middle].ascending <= row.eta).sum() / n:.1%}"
        for row in below.itertuples()
    )
    return style.finish(
        figure,
        "One pass gives the ratio of every threshold; the encoder and k move the curve",
        f"Step curves of the share of images kept against eta for {len(rankings)} numbers of clusters, beside Table 2. "
        f"Share kept at an eta, in Table 2 and in this run: {text}.",
    )
