"""From the scores of every epoch to one score per run, and to their mean over the sets."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from meddel.errors import MedDELError
from meddel.evidence.vocabulary import ARM, MEAN_SET, METRICS, Reading


def final_scores(scores: pa.Table | pd.DataFrame, reading: Reading = "last") -> pd.DataFrame:
    """Return one test score per set, head, selector, ratio and seed.

    Parameters
    ----------
    scores : pa.Table or DataFrame
        SCORES rows: one per epoch and split.
    reading : {"last", "best_on_val", "paper"}
        Which epoch's test value counts: the last one; the one with the best foreground IoU on the validation split (the
        earliest if several); or the paper's, which is the last one, chosen without a validation split (section 4.2:
        Table 3 holds the ends of Fig. 3's curves).

    Returns
    -------
    DataFrame
        set, head, selector, ratio, seed, epoch, foreground_iou, two_class_miou (fractions), seconds; sorted.

    Raises
    ------
    MedDELError
        The reading is unknown, test or validation rows are missing, or a run has two values for an epoch.
    """
    if reading not in ("last", "best_on_val", "paper"):
        raise MedDELError(f"unknown reading {reading!r}", fix="choose last, best_on_val or paper")
    table = scores.to_pandas() if isinstance(scores, pa.Table) else scores
    run = [*ARM, "seed"]
    if table.duplicated([*run, "epoch", "split"]).any():
        raise MedDELError("the scores hold two values for one run and epoch", fix="remove the rows of the older run")
    test = table[table.split == "test"].sort_values([*run, "epoch"])
    if test.empty:
        raise MedDELError("the scores hold no test rows", fix="run the segmentation step")
    if reading == "best_on_val":
        val = table[table.split == "val"].sort_values([*run, "epoch"])
        best = val.loc[val.groupby(run).foreground_iou.idxmax(), [*run, "epoch"]]
        chosen = best.merge(test, on=[*run, "epoch"])
        if len(chosen) < len(test.groupby(run)):
            raise MedDELError("some runs have no validation scores", fix="use the reading last")
    else:
        chosen = test.groupby(run, as_index=False).tail(1)
    return chosen[[*run, "epoch", *METRICS, "seconds"]].sort_values(run).reset_index(drop=True)


def with_mean_of_sets(final: pd.DataFrame) -> pd.DataFrame:
    """Append, for every head, selector, ratio and seed that all sets have, the mean over the sets as set `MEAN_SET`."""
    if final.set.nunique() < 2:
        return final
    groups = final.groupby(["head", "selector", "ratio", "seed"], as_index=False)
    means = groups.agg(
        set=("set", "size"), **{metric: (metric, "mean") for metric in METRICS}, seconds=("seconds", "sum")
    )
    complete = means[means.set == final.set.nunique()].assign(set=MEAN_SET)
    return pd.concat([final, complete], ignore_index=True)
