"""A roofline: what the reader's machine can do at most, and where the operations stand below it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from compendium.figures import style
from meddel_kernels.roofline import Ceilings, Point

_GIGA = 1e9
_MARKERS = "os^DvP"


def roofline(ceilings: Ceilings, points: Sequence[Point]) -> Figure:
    """Draw operations a second against operations for each byte moved, both axes logarithmic.

    Parameters
    ----------
    ceilings : Ceilings
        As `meddel_kernels.roofline.measure` returns it.
    points : sequence of Point
        The slowest first; the message compares the last with the first.

    Returns
    -------
    Figure
        The sloping line is the memory, the level ones are the arithmetic.
    """
    peaks = {"float32 product": ceilings.float32, "int8 product": ceilings.int8}
    intensity = np.geomspace(
        min(0.02, min(point.intensity for point in points) / 2),
        4 * max(*(point.intensity for point in points), max(peaks.values()) / ceilings.bandwidth),
        400,
    )
    with style.styled():
        figure, [axis] = style.new(1, 1, 7.6, 4.2)
        for (name, peak), line in zip(peaks.items(), ("--", "-"), strict=True):
            roof = np.minimum(peak, intensity * ceilings.bandwidth) / _GIGA
            label = f"{name} at most: {peak / _GIGA:,.0f} Gop/s"
            axis.plot(intensity, roof, line, color=style.GREY, label=label)
        colours = (style.ORANGE, style.BLUE, style.RED, style.GREEN, style.PURPLE, style.SKY)
        for point, colour, marker in zip(points, colours, _MARKERS, strict=False):
            axis.plot(point.intensity, point.rate / _GIGA, marker, color=colour, markersize=9, label=point.name)
        axis.set(
            xscale="log", yscale="log", xlim=(intensity[0], intensity[-1]),
            ylim=(None, 2 * max(peaks.values()) / _GIGA),
            xlabel="useful operations for each byte of memory traffic", ylabel="10⁹ useful operations a second",
        )  # fmt: skip
        axis.text(
            intensity[0] * 1.15, 2.5 * intensity[0] * ceilings.bandwidth / _GIGA,
            f"memory:\n{ceilings.bandwidth / _GIGA:,.0f} GB/s", color=style.GREY, va="bottom",
        )  # fmt: skip
        axis.grid(which="minor", visible=False)
        figure.legend(loc="outside lower center", ncols=2)
        factor = points[-1].rate / points[0].rate
        style.message(figure, f"The same labels {factor:,.0f} times as fast: fewer bytes moved, then less arithmetic")
    text = "; ".join(f"{p.name}: {p.intensity:.3g} operations a byte, {p.rate / _GIGA:.3g} Gop/s" for p in points)
    roofs = "; ".join(f"{name} {peak / _GIGA:.0f} Gop/s" for name, peak in peaks.items())
    return style.describe(
        figure,
        f"Roofline of {ceilings.threads} threads. Memory {ceilings.bandwidth / _GIGA:.1f} GB/s; {roofs}. {text}.",
    )
