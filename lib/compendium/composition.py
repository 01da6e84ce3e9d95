"""The composition of selections: the share of each source among the kept images, beside its share of the pool.

A selector that sees only embeddings may still choose between sources, and so between kinds of images. Where it does,
its result downstream is that of the kind.
"""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq

from meddel import study
from meddel.config import Run

COLUMNS = ["selector", "ratio", "seed", "source", "kept", "share", "pool_share"]


def composition(run: Run) -> pd.DataFrame:
    """Count the kept images of each source, for each selection of Table 3's grid in the run's folder.

    Returns
    -------
    pd.DataFrame
        `COLUMNS`: `kept` images of `source`, their `share` of all that the selection keeps, and `pool_share`, the
        source's share of the pool of that seed; fractions. Selections that were not made here are left out.
    """
    parts = [pd.DataFrame(columns=COLUMNS)]
    made = [cell for cell in study.cells(run) if (study.folder(run, cell) / "selection.parquet").is_file()]
    for seed in dict.fromkeys(cell.seed for cell in made):
        pool = study.pool(run, seed).index
        whole = pd.Series(pool["source"].to_pylist(), index=pool["id"].to_pylist())
        shares = whole.value_counts(normalize=True)
        for cell in (cell for cell in made if cell.seed == seed):
            path = study.folder(run, cell) / "selection.parquet"
            table = pq.read_table(path, columns=["id", "kept"]).to_pandas()
            kept = whole[table.loc[table.kept, "id"]].value_counts().reindex(sorted(whole.unique()), fill_value=0)
            counts = {"source": kept.index, "kept": kept.to_numpy(), "share": (kept / kept.sum()).to_numpy()}
            arm = cell.model_dump(include={"selector", "ratio", "seed"})
            parts.append(pd.DataFrame({**arm, **counts, "pool_share": shares[kept.index].to_numpy()}))
    return pd.concat(parts[1:] or parts, ignore_index=True)


def mean_shares(composed: pd.DataFrame) -> pd.DataFrame:
    """Return mean shares over seeds in percent: the pool first, then a row for each arm; a column for each source."""
    whole = composed.groupby("source")["pool_share"].mean()
    arms = composed.pivot_table(index=["ratio", "selector"], columns="source", values="share", aggfunc="mean")
    frame = pd.concat([whole.to_frame(("", "all")).T.set_axis(pd.MultiIndex.from_tuples([(1.0, "all")])), arms])
    frame.index.names = arms.index.names
    return (100 * frame).reset_index()
