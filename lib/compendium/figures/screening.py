"""The certified screen of the kernels as pictures: what it computes and what it does not, and the roofline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from compendium import screen
from compendium.figures import style
from meddel_kernels.roofline import Ceilings, Point

_GIGA = 1e9
_TIERS = {"never computed": "white", "int8 is enough": style.LIGHT, "also in float32": style.BLUE,
          "also in float64": style.RED}  # fmt: skip


@style.styled()
def rounding(row: np.ndarray, values: int = 32) -> Figure:
    """Draw the first `values` of a row beside the whole numbers that stand for them, and what rounding leaves."""
    made = screen.rounded(row[None])
    scale, whole = made.scale[0], made.whole[0, :values].astype(int)
    place = np.arange(len(whole))
    figure, [upper, lower] = style.new(2, 1, 7.6, 4.0, sharex=True, height_ratios=(3, 1))
    bars = upper.bar(place, row[:values], color=style.SKY, width=0.8, label="value, float64")
    upper.plot(place, scale * whole, "_", color="black", markersize=8, markeredgewidth=1.6, label="s q")
    upper.bar_label(bars, whole.astype(str), padding=4, fontsize=7)
    upper.set(ylabel="value")
    upper.margins(y=0.16)
    upper.legend(loc="best")
    lower.bar(place, row[:values] / scale - whole, color=style.ORANGE, width=0.8)
    lower.set(ylim=(-0.6, 0.6), yticks=(-0.5, 0, 0.5), ylabel="rest / s", xlabel="column")
    share = made.rest[0] / max(made.length[0], np.finfo(float).tiny)
    return style.finish(
        figure,
        f"A row as whole numbers q times one scale s: the rest is {share:.2%} of its length",
        f"Bars of the first {len(whole)} values of a row with whole numbers from {whole.min()} to {whole.max()} at "
        f"them, scale {scale:.3g}; below, what rounding leaves, within half a step. Length of the rest "
        f"{made.rest[0]:.3g}, of the rounded row {made.length[0]:.3g}.",
    )


@style.styled()
def decisions(decided: np.ndarray, rows: str, columns: str, message: str) -> Figure:
    """Draw the table of all pairs, each coloured by the last tier of `screen.screen` that looked at it.

    `rows` and `columns` label the axes.
    """
    n, k = decided.shape
    counts = np.bincount(decided.ravel(), minlength=len(_TIERS))
    wide = float(np.clip(5.2 * k / n, 2.2, 5.4))
    figure, [axis] = style.new(1, 1, wide + 2.4, 5.0)
    colours = ListedColormap(list(_TIERS.values()))
    axis.imshow(decided, cmap=colours, vmin=-0.5, vmax=len(_TIERS) - 0.5, aspect="auto", interpolation="nearest")
    axis.set(xlabel=columns, ylabel=rows)
    axis.grid(visible=False)
    patches = [
        Patch(facecolor=colour, edgecolor=style.GREY, label=f"{name}: {count:,} ({count / decided.size:.2%})")
        for (name, colour), count in zip(_TIERS.items(), counts, strict=True)
        if count
    ]
    figure.legend(handles=patches, loc="outside lower left", ncols=1 if wide < 4 else 2)
    text = "; ".join(f"{name} {count:,}" for name, count in zip(_TIERS, counts, strict=True))
    return style.finish(figure, message, f"A table of {n:,} {rows} by {k:,} {columns}, a cell for each pair. {text}.")


@style.styled()
def roofline(ceilings: Ceilings, points: Sequence[Point]) -> Figure:
    """Draw operations a second against operations for each byte moved, as `meddel_kernels.roofline` measures them.

    `points` begin with the slowest; the message compares the last with the first.
    """
    peaks = {"float32 product": ceilings.float32, "int8 product": ceilings.int8}
    found = [point.intensity for point in points]
    ends = min(0.02, min(found) / 2), 4 * max(*found, max(peaks.values()) / ceilings.bandwidth)
    intensity = np.geomspace(*ends, 400)
    figure, [axis] = style.new(1, 1, 7.6, 4.2)
    for (name, peak), line in zip(peaks.items(), ("--", "-"), strict=True):
        roof = np.minimum(peak, intensity * ceilings.bandwidth) / _GIGA
        axis.plot(intensity, roof, line, color=style.GREY, label=f"{name} at most: {peak / _GIGA:,.0f} Gop/s")
    for point, colour, marker in zip(points, (style.ORANGE, style.BLUE, *style.RATIOS), "os^DvPX*", strict=False):
        axis.plot(point.intensity, point.rate / _GIGA, marker, color=colour, markersize=9, label=point.name)
    axis.set(xscale="log", yscale="log", xlim=ends, ylim=(None, 2 * max(peaks.values()) / _GIGA))
    axis.set(xlabel="useful operations for each byte of memory traffic", ylabel="10⁹ useful operations a second")
    note = f"memory:\n{ceilings.bandwidth / _GIGA:,.0f} GB/s"
    axis.text(1.15 * ends[0], 2.5 * ends[0] * ceilings.bandwidth / _GIGA, note, color=style.GREY, va="bottom")
    axis.grid(which="minor", visible=False)
    text = "; ".join(f"{p.name}: {p.intensity:.3g} operations a byte, {p.rate / _GIGA:.3g} Gop/s" for p in points)
    roofs = "; ".join(f"{name} {peak / _GIGA:.0f} Gop/s" for name, peak in peaks.items())
    return style.finish(
        figure,
        f"The same labels {points[-1].rate / points[0].rate:,.0f} times as fast: fewer bytes moved, then less "
        "arithmetic",
        f"Roofline of {ceilings.threads} threads. Memory {ceilings.bandwidth / _GIGA:.1f} GB/s; {roofs}. {text}.",
        legend=2,
    )
