"""The method's commands: embed or import images, select among them, score with NormDEL, check the machine.

Each command imports what it needs when it is called: torch takes seconds, and ``--help`` should not wait for it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from meddel import __version__
from meddel.errors import MedDELError

if TYPE_CHECKING:
    import pyarrow as pa

    from meddel.store import Store

commands = typer.Typer()

Out = Annotated[Path, typer.Option(help="Folder for everything that the run writes; call again to go on.")]
Scheduler = Annotated[str | None, typer.Option(help="Dask's scheduler (tcp://node:8786) whose workers share the work.")]
Workers = Annotated[int | None, typer.Option(min=1, help="So many workers on this machine share the work.")]


class _Commands(TyperGroup):
    """Report a problem or an interruption in one line, where typer would show a traceback or nothing."""

    def invoke(self, ctx: typer.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MedDELError as error:
            print(f"meddel: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            print("meddel: interrupted; run the same again to go on", file=sys.stderr)
            raise typer.Exit(130) from None


def new_app(*groups: typer.Typer) -> typer.Typer:
    """Return a command line that has the commands of `groups`."""
    app = typer.Typer(
        cls=_Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Data-effective learning (arXiv 2401.17542): pick the images worth pre-training on, and score what that"
        " costs.\n\nOn your own images: [bold]meddel embed photos --out store[/], then "
        "[bold]meddel select store --ratio 0.05 --out kept.csv[/].",
        rich_markup_mode="rich",
    )
    for group in groups:
        app.add_typer(group)

    @app.callback(invoke_without_command=True)
    def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
        if show:
            print(f"meddel {__version__}")
            raise typer.Exit

    return app


def main() -> None:
    """Run the method's command line. Exit codes: 0 done, 1 a problem, 2 wrong usage, 130 interrupted."""
    new_app(commands)(prog_name="meddel")


@commands.command()
def embed(
    images: Annotated[Path, typer.Argument(help="Folder of images, searched through.")],
    out: Annotated[Path, typer.Option(help="Folder of the store that is written.")],
    model: Annotated[str, typer.Option(help="A plain ViT of timm.")] = "vit_base_patch16_224",
    weights: Annotated[Path | None, typer.Option(help="Weights file; none: from the hub.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> None:
    """Embed a folder of images with a ViT (section 3.2) into a store for `select`.

    Images that can't be read are listed in OUT/quarantine.csv. Interrupted, the same command goes on.
    """
    import torch

    from meddel import encoder
    from meddel.embed import embed
    from meddel.images import index

    table = index.build_index(images, quarantine=out / "quarantine.csv")
    network, _ = encoder.hub(model, weights)
    if scheduler is None and workers is None:
        store = embed(table, out, model=network, batch=batch, device="cuda" if torch.cuda.is_available() else "cpu")
    else:
        from meddel.scale.jobs import embed_images
        from meddel.scale.workers import connect

        with connect(scheduler, workers) as client:
            store = embed_images(table, out, client, model=network, batch=batch)
    print(f"{len(table)} images, {store.embeddings.shape[1]} numbers each: {out}")


@commands.command("import")
def import_embeddings(
    source: Annotated[Path, typer.Argument(help="A .npy, .npz, .safetensors or .parquet of yours.")],
    out: Annotated[Path, typer.Option(help="Folder of the store that is written.")],
    array: Annotated[str | None, typer.Option(help="Which array or column, where there are several.")] = None,
    model: Annotated[str | None, typer.Option(help="What made the embeddings; none: the file's name.")] = None,
    index: Annotated[
        Path | None, typer.Option(help="Parquet index with a row for each embedding, in their order; none: numbered.")
    ] = None,
) -> None:
    """Import existing embeddings, a row an image, into a store for `select`.

    Nothing in the file is run. Interrupted, the same command goes on.
    """
    from meddel.images.index import read_index
    from meddel.store import import_from

    rows = None if index is None else read_index(index)
    store = import_from(source, out, array=array, model=model, index=rows)
    print(f"{store.rows} embeddings, {store.dim} numbers each: {out}")


@commands.command()
def select(
    store: Annotated[Path, typer.Argument(help="Folder that `meddel embed` or `import` wrote.")],
    out: Annotated[Path, typer.Option(help="CSV of the paths to keep, best first.")],
    ratio: Annotated[float | None, typer.Option(help="Share to keep, such as 0.05.")] = None,
    eta: Annotated[
        float | None, typer.Option(help="Instead of a ratio: cosine above which two are duplicates.")
    ] = None,
    selector: Annotated[
        str, typer.Option(help="meddel, random as a baseline, or another of those that `meddel selectors` lists.")
    ] = "meddel",
    keep: Annotated[
        Literal["near", "far", "random"] | None,
        typer.Option(help="Which of two duplicates to keep, by distance to the centroid; none: near."),
    ] = None,
    k: Annotated[int | None, typer.Option(min=1, help="Clusters; none: sqrt(n / 2).")] = None,
    eps: Annotated[float | None, typer.Option(help="Outlier if farther from the centroid; none: 0.9.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    backend: Annotated[
        Literal["auto", "cpu", "cuda", "numba-cuda", "reference"],
        typer.Option(help="Which kernels compute; the result is the same."),
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="How many at most; none: all cores.")] = None,
    memory_limit: Annotated[
        float | None, typer.Option(min=0, help="GB for the work beyond interpreter and index: MedDEL block by block.")
    ] = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> None:
    """Pick the images worth keeping (MedDEL, section 3.2), and say of every other one why it is deleted.

    A second file beside OUT has the reasons: outlier at which distance, or duplicate of which image. Under a memory
    limit and with workers, MedDEL reads the store block by block; K-means then starts by k-means||, which changes the
    selection. The limit and the number of workers do not.
    """
    import pyarrow.compute as pc

    from meddel import select as selectors
    from meddel.store import Store

    if (ratio is None) == (eta is None):
        raise MedDELError("give either --ratio or --eta", fix="such as --ratio 0.05")
    shared = scheduler is not None or workers is not None
    opened = Store.open(store, verify=not shared)  # workers compare the shards that they read with the checksums
    known = selectors.settings_of(selector)
    given = {"k": k, "eps": eps, "keep": keep, "threads": threads, "backend": backend}
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None and name in known}
    odd = next((name for name in ("k", "eps", "keep") if given[name] is not None and name not in known), None)
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
    """Return the selection of any selector."""
    import numpy as np

    from meddel import config
    from meddel import select as selectors

    rng = np.random.default_rng(seed)
    if ratio is not None:
        budget = selectors.budget_for(config.check_ratio(ratio), len(store.index))
        return selectors.get(selector)(store.embeddings, store.index, budget, rng, **settings)
    if selector != "meddel":
        raise MedDELError(f"{selector} knows no threshold", fix="give --ratio instead of --eta")
    return selectors.at_threshold(store.embeddings, store.index, eta, rng, **settings)


def _block_by_block(
    store: Store, out: Path, selector: str, scheduler: str | None, workers: int | None, settings: dict[str, Any]
) -> pa.Table:
    """Return MedDEL's selection; its stages are kept in ``<name>_stages`` beside `out`."""
    import pyarrow.parquet as pq

    from meddel import scale

    if selector != "meddel":
        fix = "leave --memory-limit, --scheduler and --workers out"
        raise MedDELError(f"{selector} needs all embeddings in memory", fix=fix)
    stages = out.with_name(f"{out.stem}_stages")
    if scheduler is None and workers is None:
        return pq.read_table(scale.select(store, stages, **settings))
    from meddel.scale.workers import connect

    if settings.pop("threads", None) is not None:
        raise MedDELError("each task of a worker has one thread", fix="leave --threads out, or give more --workers")
    with connect(scheduler, workers) as client:
        return pq.read_table(scale.select(store, stages, client=client, **settings))


@commands.command("selectors")
def list_selectors() -> None:
    """List all selectors, those of installed packages included, with the options that each takes."""
    import inspect

    from meddel import select as selectors

    for name in selectors.names():
        first = (inspect.getdoc(selectors.get(name)) or "").split("\n")[0]
        options = ", ".join(selectors.settings_of(name)) or "no options"
        print(f"{name}: {first} ({options})")


@commands.command()
def normdel(
    miou: Annotated[float, typer.Option(help="Segmentation quality, a fraction.")],
    ratio: Annotated[float, typer.Option(help="Share of the data that was kept, a fraction.")],
    alpha: Annotated[float, typer.Option(help="Weight of the ratio.")] = 1.0,
) -> None:
    """Print NormDEL (Eq. 4-5): 1 / (1 + exp(-mIoU exp(-alpha R)))."""
    from meddel.normdel import normdel

    print(f"{100 * normdel(miou, ratio, alpha):.2f} %")


@commands.command()
def check(out: Out = Path("out")) -> None:
    """Check in one line whether this machine is ready: memory, disk, and kernels that give the right answer."""
    from meddel import machine

    print(machine.check(out))
