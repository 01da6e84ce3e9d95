"""What selections are made of: the share of each source among the kept images, beside its share of the pool.

A selector that looks at embeddings only may still choose between sources, and with them between kinds of images. Where
it does, its result downstream is that of the kind.
"""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq

from meddel.config import Run
from meddel.study.cell import folder
from meddel.study.data import pool
from meddel.study.grid import cells

COLUMNS = ["selector", "ratio", "seed", "source", "kept", "share", "pool_share"]


def composition(run: Run) -> pd.DataFrame:
    """Count the kept images of each source for each selection of Table 3's grid that lies in the run's folder.

    Returns
    -------
    pd.DataFrame
        `COLUMNS`: `kept` images of `source`, their `share` of all that the selection keeps, and `pool_share`, the
        source's share of the pool of that seed; fractions. Selections that were not made here are left out.
    """
    parts = []
    for cell in cells(run):
        path = folder(run, cell) / "selection.parquet"
        if cell.selector in ("none", "all") or not path.is_file():
            continue
        index = pool(run, cell.seed).index
        whole = pd.Series(index["source"].to_pylist(), index=index["id"].to_pylist())
        table = pq.read_table(path, columns=["id", "kept"]).to_pandas()
        kept = whole[table.loc[table.kept, "id"]].value_counts().reindex(sorted(whole.unique()), fill_value=0)
        parts.append(
            pd.DataFrame(
                {
                    "selector": cell.selector,
                    "ratio": cell.ratio,
                    "seed": cell.seed,
                    "source": kept.index,
                    "kept": kept.to_numpy(),
                    "share": (kept / kept.sum()).to_numpy(),
                    "pool_share": (whole.value_counts(normalize=True)[kept.index]).to_numpy(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def mean_shares(composed: pd.DataFrame) -> pd.DataFrame:
    """Return mean shares over seeds in percent: the pool first, then a row for each arm; a column for each source."""
    whole = composed.groupby("source")["pool_share"].mean()
    arms = composed.pivot_table(index=["ratio", "selector"], columns="source", values="share", aggfunc="mean")
    frame = pd.concat([whole.to_frame(("", "all")).T.set_axis(pd.MultiIndex.from_tuples([(1.0, "all")])), arms])
    frame.index.names = arms.index.names
    return (100 * frame).reset_index()
