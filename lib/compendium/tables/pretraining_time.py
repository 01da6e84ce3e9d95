"""Table 4: segmentation against the length of the pre-training (section 4.4)."""

from __future__ import annotations

import pandas as pd

from compendium import published
from compendium.tables.rendered import Rendered, percent, ratio_label, render


def table4(results: pd.DataFrame | None = None) -> Rendered:
    """Render Table 4 with the paper's values, or with those of a run.

    Parameters
    ----------
    results : DataFrame, optional
        Columns as `published.table4` returns them: dataset, ratio (fraction), pretraining_epochs, miou (fraction).
        Without it the published values are shown.

    Returns
    -------
    Rendered
        One row per number of epochs, one column per set, one group per ratio; mIoU in percent.
    """
    table = published.table4() if results is None else results
    wide = table.pivot(index=["ratio", "pretraining_epochs"], columns="dataset", values="miou")
    frame = wide[list(table.dataset.unique())].map(percent).rename_axis(columns=None).reset_index()
    frame["ratio"] = "retention ratio " + frame.ratio.map(ratio_label)
    frame["pretraining_epochs"] = frame.pretraining_epochs.map("{:,.5g}".format)
    note = "mIoU in %." + (" Transcribed from Table 4." if results is None else " Computed in this run.")
    return render(
        frame.rename(columns={"pretraining_epochs": "pre-training epochs", "ratio": "group"}),
        name="table4",
        title="Table 4. Segmentation after longer pre-training",
        note=note,
        group="group",
    )
