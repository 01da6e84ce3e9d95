"""What a fault in the pool costs, in medical and in natural images: dose and response at equal compute.

Two *domains*, each a labelled set, are treated alike. Their training images are the pool; a share of it, the dose, is
given one fault; an encoder is pre-trained on it and probed, frozen, on the clean test images. The response is the area
under the ROC curve, a slope is its change from no image spoilt to all, and the domains differ by the difference of
slopes. A domain whose clean pool does not beat no pre-training has no slope that means anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from compendium.questions.damage import KINDS, Kind, damaged
from compendium.questions.labelled import LabelledSet
from compendium.questions.trial import encoder, score
from meddel import wording
from meddel.config import Run
from meddel.evidence import interval
from meddel.progress import progress

NONE, CLEAN, ALL_KINDS = "none", "clean", "mean of faults"
MEDICAL, NATURAL = "medical", "natural"
COLUMNS = ["domain", "set", "kind", "dose", "seed", "auc", "balanced_accuracy"]


def scores(
    run: Run,
    domains: Mapping[str, LabelledSet],
    *,
    doses: Sequence[float],
    images_seen: int,
    pool: int,
    seeds: Sequence[int],
    kinds: Sequence[Kind] = KINDS,
) -> pd.DataFrame:
    """Return the response at every fault and dose; what was computed before is read.

    Parameters
    ----------
    run : Run
        Its profile's encoder and pre-training, its device and its folder.
    domains : mapping
        `MEDICAL` and `NATURAL`, or one of them, to the set.
    doses : sequence of float
        Shares above 0 of the pool that are spoilt; no fault at all is always computed.
    images_seen : int
        By every pre-training.
    pool : int
        Images in every pool; fewer if a domain has no more, so that pools are equally large.
    seeds : sequence of int
        One repetition each: the draw of the pool, the faults, initial weights and order.
    kinds : sequence of str
        Faults. ``foreign`` takes the other domain's pool and is left out where there is no other.

    Returns
    -------
    DataFrame
        `COLUMNS`; kind is ``none`` (no pre-training), ``clean`` (dose 0) or the fault; fractions.
    """
    kinds = [kind for kind in kinds if kind != "foreign" or len(domains) > 1]
    jobs = [(NONE, 0.0), (CLEAN, 0.0), *((kind, dose) for kind in kinds for dose in doses)]
    plan = [(domain, seed, *job) for seed in seeds for domain in domains for job in jobs]
    rows = []
    for domain, seed, kind, dose in progress(plan, what="dose and response", unit="encoder"):
        data = domains[domain]
        out = run.out / "questions" / "quality" / data.name / f"seed-{seed}"
        if kind == NONE:
            result = score(run, data, None, seed, out / NONE)
        else:
            pools = _pools(domains, pool, seed)
            place = out / (kind if kind == CLEAN else f"{kind}-{dose:g}")
            result = score(run, data, _trained(run, domain, pools, kind, dose, images_seen, seed, place), seed, place)
        rows.append((domain, data.name, kind, dose, seed, *result))
    return pd.DataFrame(rows, columns=COLUMNS)


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """Return what pre-training on the clean pool brings, and whether a domain can tell encoders apart.

    Returns
    -------
    DataFrame
        domain, set, seeds, none, clean (mean AUC), gain, low, high (fractions; 95 % interval of the paired difference
        over the seeds), sensitive.
    """
    rows = []
    for (domain, name), part in table.groupby(["domain", "set"], sort=False):
        wide = part[part.kind.isin([NONE, CLEAN])].pivot(index="seed", columns="kind", values="auc")
        gap = (wide[CLEAN] - wide[NONE]).to_numpy()
        low, high = interval(gap)
        rows.append((domain, name, len(gap), wide[NONE].mean(), wide[CLEAN].mean(), gap.mean(), low, high, low > 0))
    columns = ["domain", "set", "seeds", NONE, CLEAN, "gain", "low", "high", "sensitive"]
    return pd.DataFrame(rows, columns=columns).astype({"sensitive": bool})


def seed_slopes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the least-squares slope of AUC against dose of every domain, fault and seed, the clean pool included.

    Returns
    -------
    DataFrame
        domain, kind, seed, slope: change of AUC (fraction) from dose 0 to 1. Kind `ALL_KINDS` is the mean over faults.
    """
    rows = []
    for (domain, seed), part in table.groupby(["domain", "seed"], sort=False):
        clean = part[part.kind == CLEAN]
        own = []
        for kind, spoilt in part[~part.kind.isin([NONE, CLEAN])].groupby("kind", sort=False):
            line = pd.concat([clean, spoilt])
            own.append((domain, kind, seed, float(np.polyfit(line.dose, line.auc, 1)[0])))
        rows += [*own, (domain, ALL_KINDS, seed, float(np.mean([row[-1] for row in own])))]
    return pd.DataFrame(rows, columns=["domain", "kind", "seed", "slope"])


def slopes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the slope of every domain and fault with its interval, and as a share of what pre-training brings.

    Returns
    -------
    DataFrame
        domain, kind, seeds, slope, low, high (fractions of AUC from dose 0 to 1; 95 % t interval over the seeds),
        of_gain (slope by the domain's mean gain, whose own uncertainty is not in it; NaN where the domain is not
        sensitive). `ALL_KINDS` comes last.
    """
    found = gains(table).set_index("domain")
    gain = found.gain.where(found.sensitive)
    rows = []
    for (domain, kind), part in seed_slopes(table).groupby(["domain", "kind"], sort=False):
        values = part.slope.to_numpy()
        rows.append((domain, kind, len(values), values.mean(), *interval(values), values.mean() / gain[domain]))
    return pd.DataFrame(rows, columns=["domain", "kind", "seeds", "slope", "low", "high", "of_gain"])


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """Return medical minus natural slopes, fault by fault.

    The two domains share nothing but the number of the seed, so that the interval is Welch's.

    Returns
    -------
    DataFrame
        kind, difference, low, high (fractions; below 0: the fault costs more in medical images). Empty with one domain.
    """
    wide = seed_slopes(table)
    rows = []
    for kind, part in wide.groupby("kind", sort=False):
        sides = [part.slope[part.domain == domain].to_numpy() for domain in (MEDICAL, NATURAL)]
        if min(map(len, sides)) == 0:
            continue
        low = high = np.nan
        if min(map(len, sides)) > 1:
            low, high = stats.ttest_ind(*sides, equal_var=False).confidence_interval()
        rows.append((kind, sides[0].mean() - sides[1].mean(), low, high))
    return pd.DataFrame(rows, columns=["kind", "difference", "low", "high"])


def answers(table: pd.DataFrame) -> pd.DataFrame:
    """Say of every fault whether it costs more in medical or in natural images.

    Returns
    -------
    DataFrame of str
        fault, medical - natural (points with the interval), answer. Nothing is said unless both domains are sensitive.
    """
    sensitive = bool(gains(table).sensitive.all())
    rows = []
    for row in differences(table).itertuples():
        if not sensitive or np.isnan(row.low):
            said = "not testable at this scale"
        elif row.high < 0:
            said = "costs more in medical images"
        elif row.low > 0:
            said = "costs more in natural images"
        else:
            said = "no difference beyond the interval"
        rows.append((row.kind, wording.points(row.difference, row.low, row.high), said))
    return pd.DataFrame(rows, columns=["fault", "medical - natural", "answer"])


def _pools(domains: Mapping[str, LabelledSet], pool: int, seed: int) -> dict[str, np.ndarray]:
    """Draw the clean pool of every domain, all of one size: uint8 [n, s, s, 3]."""
    trains = {domain: data.split(seed)[0] for domain, data in domains.items()}
    size = min(pool, *map(len, trains.values()))
    rng = np.random.default_rng([seed, 1])
    return {
        domain: domains[domain].images[np.sort(rng.choice(rows, size, replace=False))]
        for domain, rows in trains.items()
    }


def _trained(
    run: Run,
    domain: str,
    pools: Mapping[str, np.ndarray],
    kind: str,
    dose: float,
    images_seen: int,
    seed: int,
    out: Path,
) -> Path:
    images, others = pools[domain], [pool for name, pool in pools.items() if name != domain]
    if kind != CLEAN:
        foreign = others[0] if others else None
        images = damaged(images, kind, dose, np.random.default_rng([seed, 2]), foreign)
    return encoder(run, images, np.arange(len(images)), images_seen, seed, out)
