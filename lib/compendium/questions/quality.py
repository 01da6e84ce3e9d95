"""The cost of faults in the pool, in medical and in natural images: dose and response at equal compute.

Two *domains*, each a labelled set, are treated alike. Their training images are the pool; a share of it, the dose, is
given one fault; an encoder is pre-trained on it and probed, frozen, on the clean test images. The response is the area
under the ROC curve, a slope is its change from no image spoilt to all, and the domains differ by the difference of
slopes. A domain whose clean pool does not beat no pre-training has no slope that means anything.

The pool keeps its size, so that a dose costs no compute: images are replaced and none is added. The doses of a seed are
nested: an image that is spoilt at 25 % is spoilt at 50 % too.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd
from PIL import Image, ImageFilter
from scipy import stats

from compendium.questions.labelled import LabelledSet
from compendium.questions.probes import score, trained
from meddel import wording
from meddel.config import Run, check_ratio
from meddel.errors import MedDELError
from meddel.evidence import interval
from meddel.progress import progress

Kind = Literal["blur", "noise", "jpeg", "repeats", "foreign"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NONE, CLEAN, ALL_KINDS = "none", "clean", "mean of faults"
MEDICAL, NATURAL = "medical", "natural"
COLUMNS = ["domain", "set", "kind", "dose", "seed", "auc"]
BLUR, NOISE, JPEG = 0.03, 40.0, 5
"""Gaussian blur's deviation as a share of the side, noise's deviation of 255, JPEG's quality of 100."""
DISTINCT = 0.02
"""Share of the images that stay distinct when all the others are repeats of them."""


def damaged(
    images: np.ndarray, kind: Kind, dose: float, rng: np.random.Generator, foreign: np.ndarray | None = None
) -> np.ndarray:
    """Return a pool of the same size (uint8 [n, s, s, 3]) of which the share `dose` has a fault.

    ``repeats`` puts copies of the images that stay in the place of the others (`DISTINCT` of them stay at least);
    ``foreign`` puts the images `foreign` of another modality there, again from the start if there are too few.
    Generators of one seed give nested doses.
    """
    if kind not in KINDS:
        raise MedDELError(f"unknown fault {kind!r}", fix=f"choose one of {', '.join(KINDS)}")
    if dose != 0:
        check_ratio(dose)
    order = rng.permutation(len(images))
    spoilt = order[: round(dose * len(images))]
    result = images.copy()
    if kind == "repeats":
        spoilt = spoilt[: len(images) - max(1, round(DISTINCT * len(images)))]
        stay = order[len(spoilt) :]
        # the k-th of the order copies one and the same image at every dose at which that one stays
        result[spoilt] = images[stay[::-1][np.arange(len(spoilt)) % len(stay)]]
    elif kind == "foreign":
        if foreign is None or not len(foreign):
            raise MedDELError("no images of another modality", fix="give some, or leave out the fault foreign")
        result[spoilt] = foreign[rng.permutation(len(foreign))[np.arange(len(spoilt)) % len(foreign)]]
    else:
        seeds = rng.integers(0, 2**63, len(images))
        for row in spoilt:
            result[row] = _spoil(images[row], kind, np.random.default_rng(seeds[row]))
    return result


def _spoil(image: np.ndarray, kind: Kind, rng: np.random.Generator) -> np.ndarray:
    """Return one image (uint8 [s, s, 3]) with a fault of its own pixels."""
    if kind == "noise":
        return np.clip(image + rng.normal(0, NOISE, image.shape), 0, 255).astype(np.uint8)
    if kind == "blur":
        return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(BLUR * len(image))))
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="JPEG", quality=JPEG)
    return np.asarray(Image.open(stream))


def scores(
    run: Run,
    domains: Mapping[str, LabelledSet],
    *,
    doses: Sequence[float],
    images_seen: int,
    pool: int,
    seeds: Sequence[int],
) -> pd.DataFrame:
    """Return the response at every fault and dose, a repetition for each seed; what was computed before is read.

    Parameters
    ----------
    run : Run
        Its profile's encoder and pre-training, its device and its folder.
    domains : mapping
        `MEDICAL` and `NATURAL`, or one of them, to the set.
    doses : sequence of float
        Shares above 0 of the pool that are spoilt; no fault at all is always computed.
    images_seen, pool : int
        By every pre-training; images in every pool, fewer if a domain has no more.

    Returns
    -------
    DataFrame
        `COLUMNS`; kind is ``none`` (no pre-training), ``clean`` (dose 0) or the fault; fractions. Where there is no
        other domain, the fault ``foreign`` is left out.
    """
    kinds = [kind for kind in KINDS if kind != "foreign" or len(domains) > 1]
    jobs = [(NONE, 0.0), (CLEAN, 0.0), *((kind, dose) for kind in kinds for dose in doses)]
    plan = [(domain, seed, *job) for seed in seeds for domain in domains for job in jobs]
    rows = []
    for domain, seed, kind, dose in progress(plan, what="dose and response", unit="encoder"):
        data = domains[domain]
        out = run.out / "questions" / "quality" / data.name / f"seed-{seed}"
        place = out / (f"{kind}-{dose:g}" if kind in KINDS else kind)
        weights = None
        if kind != NONE:
            images = _pool(domains, domain, kind, dose, pool, seed)
            weights = trained(run, images, np.arange(len(images)), images_seen, seed, place)
        rows.append((domain, data.name, kind, dose, seed, score(run, data, weights, seed, place)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _pool(domains: Mapping[str, LabelledSet], domain: str, kind: str, dose: float, pool: int, seed: int) -> np.ndarray:
    """Draw the clean pool of every domain, all of one size, and return that of `domain` with the fault."""
    trains = {name: data.split(seed)[0] for name, data in domains.items()}
    size = min(pool, *map(len, trains.values()))
    rng = np.random.default_rng([seed, 1])
    drawn = {name: np.sort(rng.choice(rows, size, replace=False)) for name, rows in trains.items()}
    images = domains[domain].images[drawn[domain]]
    if kind == CLEAN:
        return images
    foreign = next((data.images[drawn[name]] for name, data in domains.items() if name != domain), None)
    return damaged(images, kind, dose, np.random.default_rng([seed, 2]), foreign)


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """Return what pre-training on the clean pool brings, and whether a domain can tell encoders apart.

    Columns: domain, set, seeds, none, clean (mean AUC), gain, low, high (fractions; 95 % interval of the paired
    difference over the seeds), sensitive.
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
    """Return the least-squares slope of AUC against dose: domain, kind, seed, slope (fraction, from dose 0 to 1).

    The clean pool is part of every line. Kind `ALL_KINDS` is the mean over faults.
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
    """Return the slope of every domain and fault with its 95 % t interval over the seeds.

    Columns: domain, kind, seeds, slope, low, high (fractions).
    """
    rows = []
    for (domain, kind), part in seed_slopes(table).groupby(["domain", "kind"], sort=False):
        values = part.slope.to_numpy()
        rows.append((domain, kind, len(values), values.mean(), *interval(values)))
    return pd.DataFrame(rows, columns=["domain", "kind", "seeds", "slope", "low", "high"])


def answers(table: pd.DataFrame) -> pd.DataFrame:
    """Say of every fault whether it costs more in medical or in natural images, as text.

    Columns: fault, medical - natural (the difference of slopes with Welch's 95 % interval, because the domains share
    nothing but the number of the seed), answer. Nothing is said unless both domains are sensitive. Empty for one
    domain.
    """
    sensitive, rows = bool(gains(table).sensitive.all()), []
    for kind, part in seed_slopes(table).groupby("kind", sort=False):
        sides = [part.slope[part.domain == domain].to_numpy() for domain in (MEDICAL, NATURAL)]
        fewest = min(map(len, sides))
        if fewest == 0:
            continue
        low = high = np.nan
        if fewest > 1:
            low, high = stats.ttest_ind(*sides, equal_var=False).confidence_interval()
        said = "no difference beyond the interval"
        if not sensitive or np.isnan(low):
            said = "not testable at this scale"
        elif high < 0 or low > 0:
            said = f"costs more in {MEDICAL if high < 0 else NATURAL} images"
        rows.append((kind, wording.points(sides[0].mean() - sides[1].mean(), low, high), said))
    return pd.DataFrame(rows, columns=["fault", "medical - natural", "answer"])
