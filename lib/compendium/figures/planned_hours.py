"""What a selection takes as the rows grow: hours of each stage, extrapolated from a measured one."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from compendium.figures import style

_LOOKS = ((style.BLUE, "-"), (style.RED, "--"), (style.GREEN, "-."), (style.PURPLE, ":"), (style.ORANGE, (0, (5, 1))))


def planned_hours(plans: dict[int, pd.DataFrame], measured_rows: int) -> Figure:
    """Draw the hours of each stage against the number of rows.

    Parameters
    ----------
    plans : dict
        From a number of rows to its plan (`meddel.scale.planning.plan`).
    measured_rows : int
        How many rows the measured selection had; everything else on the line is extrapolated.

    Returns
    -------
    Figure
        Both axes logarithmic; a line a stage.
    """
    rows = sorted(plans)
    hours = pd.DataFrame({count: plans[count].set_index("stage")["hours"] for count in rows})
    said = []
    with style.styled():
        figure, [axis] = style.new(1, 1, 7.2, 4.0)
        stages = [stage for stage in hours.index if stage != "all"]
        for stage, (colour, dashes) in zip(stages, _LOOKS, strict=True):
            axis.plot(rows, hours.loc[stage], color=colour, linestyle=dashes, label=stage)
            said.append(f"{stage} {hours.loc[stage, rows[-1]]:.3g}")
        axis.axvline(measured_rows, color="black", linewidth=1)
        axis.annotate(
            "measured", (measured_rows, 1), xycoords=("data", "axes fraction"), xytext=(4, -10),
            textcoords="offset points",
        )  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel="images", ylabel="hours")
        figure.legend(*axis.get_legend_handles_labels(), loc="outside right center")
        slowest = hours.loc[stages, rows[-1]].idxmax()
        style.message(figure, f"At {rows[-1]:,} images the stage that takes longest is {slowest}")
    text = f"Hours of each stage against the number of images, from {rows[0]:,} to {rows[-1]:,}, both logarithmic."
    return style.describe(figure, f"{text} Measured at {measured_rows:,}. Hours at the right end: {'; '.join(said)}.")
