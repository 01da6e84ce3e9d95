"""How many images a second the encoder that embeds looks at on this machine: a forward pass and nothing else."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from meddel import artefacts, embed, encoder, study
from meddel.config import Run

BATCH, BATCHES, PASSES = 64, 4, 5


def forward_rates(run: Run, seeds: Sequence[int]) -> pd.DataFrame:
    """Measure the forward pass of the run's embedder on its own decoded images, once for a run and machine.

    The images lie in memory, at the encoder's size; they travel to the device and the embeddings back.

    Returns
    -------
    DataFrame
        seed, repeat, images_per_second. A seed has an encoder of its own, of the same shape.
    """
    path = run.out / "savings" / "forward_rates.parquet"
    stores = [study.store(run, seed).hash for seed in seeds]
    key = artefacts.hash_of("forward rates", stores, run.device, artefacts.machine(), [BATCH, BATCHES, PASSES])
    if not artefacts.is_finished(path, key):
        parameters = {"batch": BATCH, "batches": BATCHES, "passes": PASSES}
        with artefacts.recorded(path, key, parameters=parameters, seed=seeds[0], device=run.device):
            rows = [(seed, number, rate) for seed in seeds for number, rate in enumerate(_measured(run, seed))]
            table = pd.DataFrame(rows, columns=["seed", "repeat", "images_per_second"])
            artefacts.write_table(path, pa.Table.from_pandas(table, preserve_index=False))
    return pq.read_table(path).to_pandas()


def _measured(run: Run, seed: int) -> list[float]:
    own = run.profile.embedder == "own"
    model = encoder.load(study.pretrained(run, study.whole_pool(seed)))[0] if own else encoder.hub()[0]
    model = model.to(run.device).eval()
    rows = np.resize(study.pool(run, seed).rows, BATCH * BATCHES)
    stacks = [torch.from_numpy(study.study_pixels(run).images[part]) for part in np.split(rows, BATCHES)]
    rates = []
    for _ in range(PASSES + 1):
        start = time.perf_counter()
        for stack in stacks:
            embed.embed_batch(model, stack.to(run.device)).cpu()
        rates.append(len(rows) / (time.perf_counter() - start))
    return rates[1:]  # the first pass warms up
