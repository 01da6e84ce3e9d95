"""Made-up embeddings of any number as a store, to measure on: written shard by shard, never all in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from meddel import artefacts
from meddel.images.index import INDEX_SCHEMA
from meddel.progress import progress
from meddel.store import SHARD_ROWS, ShardWriter, Store, locked

CONCEPTS, TWINS = 2000, 0.15
_DECAY = -0.5  # the directions' deviations fall as this power of their rank


def generate(out: Path, rows: int, width: int, seed: int, *, shard_rows: int = SHARD_ROWS) -> Store:
    """Write a store of made-up embeddings, and open it; a run that was cut off goes on behind its last shard.

    Like a ViT's they lie off the origin, in concepts of Zipf's sizes, and some are near twins of others: 15 % of a
    shard's rows are another one of its rows and 2 to 35 % of noise. Each shard is drawn from a generator of its own,
    seeded with `seed` and its number.

    Parameters
    ----------
    out : Path
        The store's folder.
    rows, width : int
        n and d.
    seed : int
        Not negative.
    shard_rows : int
        Rows a shard.

    Raises
    ------
    MedDELError
        No rows or columns, or a folder that can't be written.
    """
    out = Path(out)
    facts = {"name": "made up", "seed": seed, "concepts": CONCEPTS, "twins": TWINS}
    with locked(out):
        writer = ShardWriter(
            out, rows, width, encoder=facts, content=artefacts.hash_of("made up", seed), shard_rows=shard_rows
        )
        with progress(what="generate", total=rows, unit="row", done=writer.done) as bar:
            while part := writer.next_rows:
                values = shard_of(len(part), width, seed, part.start // shard_rows)
                writer.append_rows(values, _index(part, rows))
                bar.update(len(part))
    return Store.open(out, verify=False)


def shard_of(rows: int, width: int, seed: int, number: int) -> np.ndarray:
    """Return the rows of shard `number` of those that `generate` makes, float16 [rows, width]."""
    spectrum = np.arange(1, width + 1, dtype=np.float32) ** _DECAY
    spectrum /= np.linalg.norm(spectrum)
    shared = np.random.default_rng([seed, 0])
    offset = 0.5 * shared.permutation(spectrum)
    centres = offset + 0.9 * spectrum * shared.standard_normal((CONCEPTS, width), np.float32)
    share = np.arange(1, CONCEPTS + 1) ** -0.7
    rng = np.random.default_rng([seed, 1, number])
    x = centres[rng.choice(CONCEPTS, rows, p=share / share.sum())]
    for part in np.array_split(np.arange(rows), -(-rows // 4096)):
        x[part] += 0.55 * spectrum * rng.standard_normal((len(part), width), np.float32)
    twins, originals = rng.permutation(rows)[: int(rows * TWINS)], rng.integers(0, rows, int(rows * TWINS))
    level = rng.uniform(0.02, 0.35, (len(twins), 1)).astype(np.float32)
    for part in np.array_split(np.arange(len(twins)), -(-max(1, len(twins)) // 4096)):
        noise = level[part] * spectrum * rng.standard_normal((len(part), width), np.float32)
        x[twins[part]] = x[originals[part]] + noise
    return x.astype(np.float16)


def _index(part: range, n: int) -> pa.Table:
    m, wide = len(part), len(str(n - 1))
    columns = {"id": [f"made-up/{row:0{wide}d}" for row in part], "source": ["made-up"] * m}
    return pa.table({field.name: pa.array(columns.get(field.name, [None] * m), field.type) for field in INDEX_SCHEMA})
