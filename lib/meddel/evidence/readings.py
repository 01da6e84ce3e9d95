"""Names that all parts of the evidence share, and the step from the scores of every epoch to one score per run."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import pyarrow as pa

from meddel.errors import MedDELError

Reading = Literal["last", "best_on_val", "paper"]
Reference = Literal["random", "none", "all"]
Verdict = Literal["reproduced", "not reproduced", "not testable here", "not testable at this scale"]

ARM = ["set", "head", "selector", "ratio"]
METRICS = ("foreground_iou", "two_class_miou")
MEAN_SET = "mean of sets"
NO_SELECTION = ("none", "all", "random")
"""The references: no pre-training, all images, random images. Every other selector is under test."""


def check_metric(metric: str) -> None:
    """Refuse a score that is not one of `METRICS`."""
    if metric not in METRICS:
        raise MedDELError(f"unknown score {metric!r}", fix=f"choose one of {', '.join(METRICS)}")


def final_scores(scores: pa.Table | pd.DataFrame, reading: Reading = "last") -> pd.DataFrame:
    """Return one test score per set, head, selector, ratio and seed.

    Parameters
    ----------
    scores : pa.Table or DataFrame
        `meddel.segment.SCORES_SCHEMA`: one row per epoch and split.
    reading : {"last", "best_on_val", "paper"}
        Which epoch's test value counts: the last one; the (earliest) one with the best foreground IoU on the validation
        split; or the paper's, which is the last one (section 4.2: Table 3 holds the ends of Fig. 3's curves).

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
    chosen = test.groupby(run, as_index=False).tail(1)
    if reading == "best_on_val":
        val = table[table.split == "val"].sort_values([*run, "epoch"])
        best = val.loc[val.groupby(run).foreground_iou.idxmax(), [*run, "epoch"]]
        found = best.merge(test, on=[*run, "epoch"])
        if len(found) < len(chosen):
            raise MedDELError("some runs have no validation scores", fix="use the reading last")
        chosen = found
    return chosen[[*run, "epoch", *METRICS, "seconds"]].sort_values(run).reset_index(drop=True)


def with_mean_of_sets(final: pd.DataFrame) -> pd.DataFrame:
    """Append, for every head, selector, ratio and seed that all sets have, the mean over the sets as set `MEAN_SET`."""
    count = final["set"].nunique()
    if count < 2:
        return final
    groups = final.groupby(["head", "selector", "ratio", "seed"], as_index=False)
    metrics = {metric: (metric, "mean") for metric in METRICS}
    means = groups.agg(set=("set", "size"), **metrics, seconds=("seconds", "sum"))
    return pd.concat([final, means[means["set"] == count].assign(set=MEAN_SET)], ignore_index=True)
