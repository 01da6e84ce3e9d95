"""What one image, one more pass and one more cosine cost: the rates that a bill of another size is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.optimize import nnls

from meddel import artefacts, study
from meddel import select as selectors
from meddel.config import Run, SelectConfig
from meddel.cost import Meter
from meddel.errors import MedDELError

PARTS = (0.125, 0.25, 0.5, 1.0)
"""Shares of the pool on which selecting is measured."""
REPEATS = 3


@dataclass(frozen=True)
class Rates:
    """What selecting and training cost at one seed, in seconds or in joules; NaN where that was not measured.

    Attributes
    ----------
    seed : int
    images : int
        Of the pool that this was measured on.
    epochs : float
        Passes that the pre-training on the whole pool makes over it.
    train : float
        Per image that a pre-training sees, set-up included.
    embed : float
        Per image of the pool.
    fixed, cosine : float
        Of selecting: once, and per cosine between an image and a centroid or another image (`cosines`).
    settings : SelectConfig
        The number of clusters and of iterations.
    """

    seed: int
    images: int
    epochs: float
    train: float
    embed: float
    fixed: float
    cosine: float
    settings: SelectConfig

    def selecting(self, n: np.ndarray | float, own: bool) -> np.ndarray:
        """Return what selecting from `n` images costs: float64, of `n`'s shape.

        With `own`, the encoder that embeds has first to be pre-trained on all of them.
        """
        images = np.asarray(n, dtype=float)
        passes = self.epochs * self.train if own else 0.0
        return self.fixed + (passes + self.embed) * images + self.cosine * cosines(images, self.settings)

    def training(self, n: np.ndarray | float) -> np.ndarray:
        """Return what one pre-training on `n` images costs with this pool's number of epochs."""
        return self.epochs * self.train * np.asarray(n, dtype=float)


def cosines(n: np.ndarray | float, settings: SelectConfig) -> np.ndarray:
    """Return how many cosines MedDEL takes for `n` images: n k per iteration, n^2 / 2k within equal clusters.

    As many iterations as are allowed; `settings` without k means k = sqrt(n / 2).
    """
    images = np.asarray(n, dtype=float)
    k = np.maximum(1.0, np.sqrt(images / 2)) if settings.k is None else float(settings.k)
    return images * k * settings.iterations + images**2 / (2 * k)


def selection_times(run: Run, seeds: Sequence[int]) -> pd.DataFrame:
    """Measure MedDEL on parts of the pools of `seeds`, each several times, once for a run and machine.

    Returns
    -------
    DataFrame
        seed, images (of the part), repeat, seconds, joules (NaN where not counted).

    Raises
    ------
    MedDELError
        An eighth of the pool has fewer images than there are clusters.
    """
    path = run.out / "savings" / "selection_times.parquet"
    stores = {seed: study.store(run, seed).hash for seed in seeds}
    settings = run.profile.select.model_dump()
    key = artefacts.hash_of("selection times", list(stores.items()), settings, artefacts.machine(), PARTS, REPEATS)
    if not artefacts.is_finished(path, key):
        with artefacts.recorded(path, key, parameters=settings, seed=seeds[0]):
            rows = [row for seed in seeds for row in _timed(run, seed)]
            table = pd.DataFrame(rows, columns=["seed", "images", "repeat", "seconds", "joules"])
            table = table.astype({"seconds": float, "joules": float})
            artefacts.write_table(path, pa.Table.from_pandas(table, preserve_index=False))
    return pq.read_table(path).to_pandas()


def rates(run: Run, steps: pd.DataFrame, measure: str = "seconds") -> list[Rates]:
    """Return the rates of every seed whose steps are given.

    Training is the mean over the seed's full pre-trainings. Embedding is its step's cost over the images. Selecting is
    a line through the measured parts of the pool, over their cosines; neither of its coefficients is negative.

    Parameters
    ----------
    run : Run
        The run that the steps belong to.
    steps : DataFrame
        As `compendium.savings.computing` returns it, MedDEL's among them.
    measure : {"seconds", "joules"}
        In what the rates are.

    Raises
    ------
    MedDELError
        Another measure, or no steps of MedDEL.
    """
    if measure not in ("seconds", "joules"):
        raise MedDELError(f"no rates in {measure}", fix="choose seconds or joules")
    full = steps[steps.compute == 1]
    if not (full.selector == "meddel").any():
        raise MedDELError("no steps of MedDEL", fix="give those of a full pre-training on its selection")
    seeds, seen, found = full.seed.unique().tolist(), run.profile.pretrain.images_seen, []
    times = selection_times(run, seeds)
    for seed in seeds:
        mine, n = full[full.seed == seed], study.pool(run, seed).index.num_rows
        embedding = mine[(mine.step == "embedding") & (mine.selector == "meddel")]
        training = mine[mine.step == "pre-training"][measure].mean(skipna=False) / seen
        fixed, cosine = _line(times[times.seed == seed], measure, run.profile.select)
        embed = embedding[measure].iloc[0] / n
        found.append(Rates(seed, n, seen / n, training, embed, fixed, cosine, run.profile.select))
    return found


def _line(times: pd.DataFrame, measure: str, settings: SelectConfig) -> tuple[float, float]:
    middle = times.groupby("images")[measure].median()
    if middle.isna().any():
        return np.nan, np.nan
    work = cosines(middle.index.to_numpy(), settings)
    scale = work.max()  # columns of like size, as the solver stops at a fixed tolerance
    (fixed, slope), _ = nnls(np.column_stack([np.ones(len(work)), work / scale]), middle.to_numpy())
    return float(fixed), float(slope / scale)


def _timed(run: Run, seed: int) -> list[tuple[int, int, int, float, float | None]]:
    store, index, settings = study.store(run, seed), study.pool(run, seed).index, run.profile.select.model_dump()
    select, n = selectors.get("meddel"), index.num_rows
    order, rows = np.random.default_rng(seed).permutation(n), []
    embeddings = np.asarray(store.embeddings)
    for share in (PARTS[0], *PARTS):  # the first one warms up: kernels are compiled, threads started
        taken = np.sort(order[: max(2, round(share * n))])
        part, budget = index.take(taken), selectors.budget_for(min(run.profile.ratios), len(taken))
        vectors = embeddings[taken]
        for repeat in range(REPEATS):
            with Meter() as meter:
                select(vectors, part, budget, np.random.default_rng(seed), **settings)
            cost = meter.cost()
            rows.append((seed, len(taken), repeat, cost.seconds, cost.joules))
    return rows[REPEATS:]
