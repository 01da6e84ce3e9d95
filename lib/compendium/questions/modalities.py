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
from compendium.questions.probes import embeddings, score, trained
from meddel import evidence, select, wording
from meddel.config import Run
from meddel.progress import progress

COLUMNS = ["set", "modality", "selector", "ratio", "seed", "auc"]
VERDICT_COLUMNS = ["set", "modality", "measure", "all - none", "selector - random", "answer"]
BEATS, LOSES = "beats random selection", "loses to random selection"
EQUAL, UNKNOWN = "no difference to random selection beyond the interval", "not testable at this scale"
SELECTORS = ("random", "meddel")
Interval = tuple[float, float, float]


def scores(
    run: Run, sets: Sequence[LabelledSet], *, ratio: float, images_seen: int, seeds: Sequence[int]
) -> pd.DataFrame:
    """Return the scores of all arms on all sets, a repetition for each seed; what was computed before is read.

    Encoders are pre-trained on `images_seen` of the training images of a set, of which a selector keeps the share
    `ratio`, without their labels, and probed on its test images. Columns are `COLUMNS`: auc (fraction) is the area
    under the ROC curve; selector ``none`` has ratio 0 and ``all`` has 1.
    """
    jobs = [(data, seed) for data in sets for seed in seeds]
    rows = []
    for data, seed in progress(jobs, what="modalities", unit="repetition"):
        for (selector, kept), result in _arms(run, data, seed, ratio, images_seen).items():
            rows.append((data.name, data.modality, selector, kept, seed, result))
    return pd.DataFrame(rows, columns=COLUMNS)


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """Return the paired differences between the arms of `scores`, with their 95 % t intervals over the seeds.

    Columns: set, modality, selector, ratio, against, seeds, difference, low, high (fractions).
    """
    pairs = [("all", "none"), ("random", "all"), ("random", "none")]
    pairs += [("meddel", against) for against in ("random", "all", "none")]
    rows = []
    for (name, modality), part in table.groupby(["set", "modality"], sort=False):
        wide = part.pivot(index="seed", columns="selector", values="auc")
        ratios = part.groupby("selector").ratio.first()
        for selector, against in pairs:
            gap = (wide[selector] - wide[against]).dropna().to_numpy()
            seen = (len(gap), gap.mean(), *evidence.interval(gap))
            rows.append((name, modality, selector, ratios[selector], against, *seen))
    columns = ["set", "modality", "selector", "ratio", "against", "seeds", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def answer(gain: Interval, gap: Interval) -> str:
    """Say what two paired differences (with low and high) allow to say of a selector.

    `gain` is that of pre-training on all images to none, and `gap` that of the selector to random selection. Where all
    does not beat none beyond the interval the answer is `UNKNOWN`: a set that does not notice pre-training can't notice
    the images that it was done on.
    """
    if not gain[1] > 0 or math.isnan(gap[1]):
        return UNKNOWN
    return BEATS if gap[1] > 0 else LOSES if gap[2] < 0 else EQUAL


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Say of every set of `scores` whether MedDEL beats random selection on it, as text: `VERDICT_COLUMNS`."""
    found = differences(table).set_index(["set", "selector", "against"])[["difference", "low", "high"]]
    rows = []
    for name, modality in table[["set", "modality"]].drop_duplicates().itertuples(index=False):
        gain, gap = found.loc[(name, "all", "none")], found.loc[(name, "meddel", "random")]
        rows.append(_verdict(name, modality, "area under the ROC curve", tuple(gain), tuple(gap)))
    return pd.DataFrame(rows, columns=VERDICT_COLUMNS)


def study_verdicts(final: pd.DataFrame, modality: str) -> pd.DataFrame:
    """Say the same of a study with masks (`meddel.evidence.final_scores`), for each set, head and ratio."""
    gains = evidence.sensitivity(final).set_index(["set", "head"])[["all_minus_none", "low", "high"]]
    gaps = evidence.paired_differences(final, "random")
    rows = []
    for row in gaps[gaps.selector == "meddel"].itertuples():
        name, gap = f"{row.set}, {row.head} at {row.ratio:.0%}", (row.difference, row.low, row.high)
        rows.append(_verdict(name, modality, "foreground IoU", tuple(gains.loc[(row.set, row.head)]), gap))
    return pd.DataFrame(rows, columns=VERDICT_COLUMNS)


def _verdict(name: str, modality: str, measure: str, gain: Interval, gap: Interval) -> tuple[str, ...]:
    return name, modality, measure, wording.points(*gain), wording.points(*gap), answer(gain, gap)


def _arms(run: Run, data: LabelledSet, seed: int, ratio: float, images_seen: int) -> dict[tuple[str, float], float]:
    """Compute the arms of one set and seed."""
    out = run.out / "questions" / "modalities" / data.name / f"seed-{seed}"
    train, _ = data.split(seed)
    whole = trained(run, data.images, train, images_seen, seed, out / "all")
    weights: dict[tuple[str, float], tuple[Path | None, Path]] = {
        ("none", 0.0): (None, out / "none"),
        ("all", 1.0): (whole, out / "all"),
    }
    for name in SELECTORS:
        kept, place = train[_kept(run, data, train, name, ratio, whole, seed)], out / f"{name}-{ratio:g}"
        weights[name, ratio] = (trained(run, data.images, kept, images_seen, seed, place), place)
    return {arm: score(run, data, path, seed, place) for arm, (path, place) in weights.items()}


def _kept(
    run: Run, data: LabelledSet, train: np.ndarray, name: str, ratio: float, whole: Path, seed: int
) -> np.ndarray:
    """Return which of the training images a selector keeps, by the embeddings of the encoder of all of them: bool."""
    index = pa.table({"id": [f"{data.name}/{row:07d}" for row in train], "path": [""] * len(train)})
    features = embeddings(run, data.images[train], whole, seed)
    budget, rng = select.budget_for(ratio, len(train)), np.random.default_rng(seed)
    return select.get(name)(features, index, budget, rng)["kept"].to_numpy()
