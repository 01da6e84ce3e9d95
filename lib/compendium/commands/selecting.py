"""``meddel select``: MedDEL, or another selector, on a store of embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compendium.commands.options import BackendChoice, KeepChoice, Scheduler, Workers
from meddel.errors import MedDELError

if TYPE_CHECKING:
    import pyarrow as pa

    from meddel.store import Store


def select(
    store: Annotated[Path, typer.Argument(help="Folder that `meddel embed` or `import` wrote.")],
    out: Annotated[Path, typer.Option(help="CSV of the paths to keep, best first.")],
    ratio: Annotated[float | None, typer.Option(help="Share to keep, such as 0.05.")] = None,
    eta: Annotated[
        float | None, typer.Option(help="Instead of a ratio: cosine above which a pair is duplicate.")
    ] = None,
    selector: Annotated[
        str, typer.Option(help="meddel, random as a baseline, or another of those that `meddel selectors` lists.")
    ] = "meddel",
    keep: Annotated[
        KeepChoice | None, typer.Option(help="Which of two duplicates stays, by distance to the centroid; none: near.")
    ] = None,
    k: Annotated[int | None, typer.Option(min=1, help="Clusters; none: sqrt(n / 2).")] = None,
    eps: Annotated[
        float | None, typer.Option(help="Farther than this from the centroid is an outlier; none: 0.9.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    backend: Annotated[
        BackendChoice, typer.Option(help="Which kernels compute; the result is the same.")
    ] = BackendChoice.auto,
    threads: Annotated[int | None, typer.Option(min=1, help="How many at most; none: all cores.")] = None,
    memory_limit: Annotated[
        float | None, typer.Option(min=0, help="GB for the work beyond interpreter and index: MedDEL block by block.")
    ] = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> None:
    """Pick the images worth keeping (MedDEL, section 3.2) and say of every other one why it went.

    Beside OUT lies a second file with the reasons: outlier at which distance, or duplicate of which image. Under a
    limit, and by workers, MedDEL goes through the store block by block. Its K-means starts otherwise then (k-means||),
    so that it keeps other images than without; the limit and the number of workers change nothing.
    """
    import pyarrow.compute as pc

    from meddel import select as selectors
    from meddel.store import Store

    if (ratio is None) == (eta is None):
        raise MedDELError("give either --ratio or --eta", fix="such as --ratio 0.05")
    shared = scheduler is not None or workers is not None
    opened = Store.open(store, verify=not shared)
    taken = selectors.settings_of(selector)
    given = {"k": k, "eps": eps, "keep": keep and keep.value, "threads": threads, "backend": backend.value}
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None and name in taken}
    odd = next((name for name in ("k", "eps", "keep") if given[name] is not None and name not in taken), None)
    if odd is not None:
        raise MedDELError(f"{selector} knows no --{odd}", fix="leave it out")
    if shared or memory_limit is not None:
        limit = None if memory_limit is None else int(memory_limit * 1e9)
        settings |= {"ratio": ratio, "eta": eta, "seed": seed, "memory_limit_bytes": limit}
        selection = _block_by_block(opened, out, selector, scheduler, workers, settings)
    else:
        selection = _in_memory(opened, selector, ratio, eta, seed, settings)
    reasons = out.with_name(f"{out.stem}_reasons.csv")
    selectors.write_kept_csv(selection, opened.index, out, reasons)
    kept = pc.sum(selection["kept"]).as_py()
    print(f"kept {kept} of {len(selection)} ({kept / len(selection):.2%}): {out}; the rest: {reasons}")


def _in_memory(
    store: Store, selector: str, ratio: float | None, eta: float | None, seed: int, settings: dict[str, Any]
) -> pa.Table:
    import numpy as np

    from meddel import config
    from meddel import select as selectors

    rng = np.random.default_rng(seed)
    if ratio is not None:
        budget = selectors.budget_for(config.check_ratio(ratio), len(store.index))
        return selectors.get(selector)(store.embeddings, store.index, budget, rng, **settings)
    if selector != "meddel":
        raise MedDELError(f"{selector} knows no threshold", fix="give --ratio instead of --eta")
    return selectors.meddel.at_threshold(store.embeddings, store.index, eta, rng, **settings)


def _block_by_block(
    store: Store, out: Path, selector: str, scheduler: str | None, workers: int | None, settings: dict[str, Any]
) -> pa.Table:
    """Return MedDEL's selection; its stages stay in a folder beside `out`, ``<name>_stages``."""
    import pyarrow.parquet as pq

    if selector != "meddel":
        raise MedDELError(
            f"{selector} needs all embeddings in memory", fix="leave --memory-limit, --scheduler and --workers out"
        )
    stages = out.with_name(f"{out.stem}_stages")
    if scheduler is None and workers is None:
        from meddel import scale as out_of_core

        return pq.read_table(out_of_core.select(store, stages, **settings))
    from compendium.commands import by_workers

    return pq.read_table(by_workers.selection(scheduler, workers, store, stages, **settings))
