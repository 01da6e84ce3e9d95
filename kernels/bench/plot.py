"""The roofline of a benchmark: what the machine can do at most, ours and the peers below (or, by doing less, above)."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from meddel_kernels.roofline import Ceilings

_MARKERS = "osD^vPX*<>"


def draw(rows: list[dict[str, object]], ceilings: Ceilings, path: Path) -> None:
    """Draw useful operations a second against those a byte that must be read; ladders and first calls are left out."""
    counted = [row for row in rows if float(row["useful_gops"]) > 0]
    points = [row for row in counted if not str(row["case"]).startswith("ladder")] or counted
    if not points:
        return
    names = list(dict.fromkeys(str(row["name"]) for row in points))
    across = [float(row["useful_operations_a_byte"]) for row in points]
    intensity = np.geomspace(min(1.0, min(across) / 2), 4 * max(across), 300)
    plt.rcParams["svg.hashsalt"] = "meddel"  # the same bytes for the same numbers
    figure, axis = plt.subplots(figsize=(8, 4.8), layout="constrained")
    for label, peak, line in (
        (f"int8 at most, {ceilings.int8 / 1e9:,.0f} Gop/s", ceilings.int8, "-"),
        (f"float32 at most, {ceilings.float32 / 1e9:,.0f} Gop/s", ceilings.float32, "--"),
    ):
        axis.plot(intensity, np.minimum(peak, intensity * ceilings.bandwidth) / 1e9, line, color="0.5", label=label)
    for name, colour, marker in zip(names, sns.color_palette("colorblind", len(names)), _MARKERS, strict=False):
        own = [row for row in points if row["name"] == name]
        axis.plot(
            [float(row["useful_operations_a_byte"]) for row in own], [float(row["useful_gops"]) for row in own], marker,
            color=colour, label=name, markersize=7, alpha=0.85,
        )  # fmt: skip
    axis.set(
        xscale="log", yscale="log", xlabel="useful operations for each byte that must be read",
        ylabel="10⁹ useful operations a second",
    )  # fmt: skip
    figure.suptitle(
        f"Above the lines is who computes less ({points[0]['on']}, {ceilings.bandwidth / 1e9:,.0f} GB/s)", fontsize=10
    )
    figure.legend(loc="outside right upper", fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
