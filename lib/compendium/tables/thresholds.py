"""Table 2: threshold, images kept, ratio and epochs at equal compute (section 3.2)."""

from __future__ import annotations

import pandas as pd

from compendium import published
from compendium.tables.rendered import Rendered, percent, ratio_label, render


def table2(levels: pd.DataFrame | None = None) -> Rendered:
    """Render Table 2 with the paper's thresholds, or with those of a run.

    Parameters
    ----------
    levels : DataFrame, optional
        Columns as `published.thresholds` returns them: eta (cosine), images_kept, ratio (nominal, fraction),
        exact_ratio (fraction), pretraining_epochs, images_seen. Without it the published levels are shown.

    Returns
    -------
    Rendered
    """
    table = published.thresholds() if levels is None else levels
    frame = pd.DataFrame(
        {
            "ratio": table.ratio.map(ratio_label),
            "threshold eta (cosine)": table.eta.map("{:.4g}".format),
            "images kept": table.images_kept.map("{:,.0f}".format),
            "exact ratio (%)": table.exact_ratio.map(percent),
            "pre-training epochs": table.pretraining_epochs.map("{:,.5g}".format),
            "images seen": table.images_seen.map("{:,.0f}".format),
        }
    )
    note = (
        "Transcribed from Table 2; exact ratio and images seen are computed from it."
        if levels is None
        else "Computed from the selection of this run."
    )
    return render(frame, name="table2", title="Table 2. Threshold, ratio and epochs at equal compute", note=note)
