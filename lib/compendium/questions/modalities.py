"""Does the selection help beyond endoscopy? Frozen encoders of four arms, probed on labelled sets of any modality.

The arms are pre-training on all training images, on a random selection of them, on the selector's, and none at all. All
see the same number of images, whatever they are given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from compendium.questions.labelled import LabelledSet
from compendium.questions.linear_probe import Score, embeddings
from compendium.questions.trial import architecture, encoder, score
from meddel import evidence, select, wording
from meddel.config import Run
from meddel.progress import progress

METRICS = ("auc", "balanced_accuracy")
COLUMNS = ["set", "modality", "selector", "ratio", "seed", *METRICS]
VERDICT_COLUMNS = ["set", "modality", "measure", "all - none", "selector - random", "answer"]
BEATS, LOSES = "beats random selection", "loses to random selection"
EQUAL, UNKNOWN = "no difference to random selection beyond the interval", "not testable at this scale"
Interval = tuple[float, float, float]


def scores(
    run: Run,
    sets: Sequence[LabelledSet],
    *,
    ratio: float,
    images_seen: int,
    seeds: Sequence[int],
    chosen: Sequence[str] = ("random", "meddel"),
) -> pd.DataFrame:
    """Return the scores of all arms on all sets; what was computed before is read.

    Parameters
    ----------
    run : Run
        Its profile's encoder and pre-training, its device and its folder.
    sets : sequence of LabelledSet
        Pre-trained on the training images of each, without their labels, and probed on its test images.
    ratio : float
        Share of the training images that a selector keeps.
    images_seen : int
        By every pre-training.
    seeds : sequence of int
        One repetition each.
    chosen : sequence of str
        Selectors by name.

    Returns
    -------
    DataFrame
        `COLUMNS`; selector ``none`` has ratio 0 and ``all`` has 1; fractions.
    """
    jobs = [(data, seed) for data in sets for seed in seeds]
    rows = []
    for data, seed in progress(jobs, what="modalities", unit="repetition"):
        for (selector, kept), result in _arms(run, data, seed, ratio, images_seen, chosen).items():
            rows.append((data.name, data.modality, selector, kept, seed, *result))
    return pd.DataFrame(rows, columns=COLUMNS)


def differences(table: pd.DataFrame, metric: str = "auc") -> pd.DataFrame:
    """Return the paired differences that matter, set by set, with their 95 % t intervals over the seeds.

    Parameters
    ----------
    table : DataFrame
        As `scores` returns it.
    metric : {"auc", "balanced_accuracy"}

    Returns
    -------
    DataFrame
        set, modality, selector, ratio, against, seeds, difference, low, high (fractions): all against none, and every
        selector against random selection, against all, and against none.
    """
    rows = []
    for (name, modality), part in table.groupby(["set", "modality"], sort=False):
        wide = part.pivot(index="seed", columns="selector", values=metric)
        ratios = part.set_index("selector")["ratio"].groupby(level=0).first()
        own = [selector for selector in part["selector"].unique() if selector not in ("none", "all", "random")]
        pairs = [("all", "none"), ("random", "all"), ("random", "none")]
        pairs += [(selector, against) for selector in own for against in ("random", "all", "none")]
        for selector, against in pairs:
            if not {selector, against} <= set(wide):
                continue
            gap = (wide[selector] - wide[against]).dropna().to_numpy()
            rows.append(
                (name, modality, selector, ratios[selector], against, len(gap), gap.mean(), *evidence.interval(gap))
            )
    columns = ["set", "modality", "selector", "ratio", "against", "seeds", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def answer(gain: Interval, gap: Interval) -> str:
    """Say what two paired differences allow to say of a selector.

    Parameters
    ----------
    gain, gap : (difference, low, high)
        Of pre-training on all images to none, and of the selector to random selection; NaN bounds for one seed.

    Returns
    -------
    str
        `BEATS`, `LOSES`, `EQUAL`, or `UNKNOWN` where all does not beat none beyond the interval: what does not notice
        pre-training can't notice what it was done on.
    """
    if not gain[1] > 0 or math.isnan(gap[1]):
        return UNKNOWN
    return BEATS if gap[1] > 0 else LOSES if gap[2] < 0 else EQUAL


def verdicts(table: pd.DataFrame, metric: str = "auc", selector: str = "meddel") -> pd.DataFrame:
    """Say of every set whether the selector beats random selection on it; see `answer`.

    Parameters
    ----------
    table, metric
        As for `differences`.
    selector : str
        The selector under test.

    Returns
    -------
    DataFrame of str
        `VERDICT_COLUMNS`: set, modality, measure, all - none and selector - random (points with intervals), answer.
    """
    rows = []
    found = differences(table, metric).set_index(["set", "selector", "against"])[["difference", "low", "high"]]
    for name, modality in table[["set", "modality"]].drop_duplicates().itertuples(index=False):
        gain, gap = tuple(found.loc[(name, "all", "none")]), tuple(found.loc[(name, selector, "random")])
        rows.append((name, modality, metric, wording.points(*gain), wording.points(*gap), answer(gain, gap)))
    return pd.DataFrame(rows, columns=VERDICT_COLUMNS)


def study_verdicts(final: pd.DataFrame, modality: str, selector: str = "meddel") -> pd.DataFrame:
    """Say the same of a study with masks, in foreground IoU.

    Parameters
    ----------
    final : DataFrame
        As `meddel.evidence.final_scores` returns it.
    modality : str
        What its sets show.
    selector : str
        The selector under test.

    Returns
    -------
    DataFrame of str
        `VERDICT_COLUMNS`, one row a set, head and ratio.
    """
    gains = evidence.sensitivity(final).set_index(["set", "head"])[["all_minus_none", "low", "high"]]
    gaps = evidence.paired_differences(final, "random")
    rows = []
    for row in gaps[gaps.selector == selector].itertuples():
        gain, gap = tuple(gains.loc[(row.set, row.head)]), (row.difference, row.low, row.high)
        name = f"{row.set}, {row.head} at {row.ratio:.0%}"
        rows.append((name, modality, "foreground_iou", wording.points(*gain), wording.points(*gap), answer(gain, gap)))
    return pd.DataFrame(rows, columns=VERDICT_COLUMNS)


def _arms(
    run: Run, data: LabelledSet, seed: int, ratio: float, images_seen: int, chosen: Sequence[str]
) -> dict[tuple[str, float], Score]:
    """Compute the arms of one set and seed."""
    out = run.out / "questions" / "modalities" / data.name / f"seed-{seed}"
    train, _ = data.split(seed)
    whole = encoder(run, data.images, train, images_seen, seed, out / "all")
    arms: dict[tuple[str, float], tuple[Path | None, Path]] = {
        ("none", 0.0): (None, out / "none"),
        ("all", 1.0): (whole, out / "all"),
    }
    for name in chosen:
        kept = train[_kept(run, data, train, name, ratio, whole, seed)]
        place = out / f"{name}-{ratio:g}"
        arms[name, ratio] = (encoder(run, data.images, kept, images_seen, seed, place), place)
    return {arm: score(run, data, weights, seed, place) for arm, (weights, place) in arms.items()}


def _kept(
    run: Run, data: LabelledSet, train: np.ndarray, name: str, ratio: float, whole: Path, seed: int
) -> np.ndarray:
    """Return which of the training images a selector keeps, judged by the encoder of all of them: bool."""
    index = pa.table({"id": [f"{data.name}/{row:07d}" for row in train], "path": [""] * len(train)})
    features = embeddings(data.images[train], whole, architecture(run, data.images), seed, run.device)
    budget, rng = select.budget_for(ratio, len(train)), np.random.default_rng(seed)
    return np.array(select.get(name)(features, index, budget, rng)["kept"].to_pylist(), dtype=bool)
