"""The command line: MedDEL on a folder of images, NormDEL on two numbers, and the whole paper in one command.

Each command imports what it needs: torch takes seconds, and who asks for help or for two numbers needn't wait.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from meddel import __version__
from meddel.commands.importing import import_embeddings
from meddel.commands.options import Out, ProfileChoice, Scheduler, Workers
from meddel.commands.selecting import select
from meddel.datadel import commands
from meddel.errors import MedDELError


class _Commands(TyperGroup):
    """Says a problem, or that the user interrupted, in one line; typer itself would be silent or show a traceback."""

    def invoke(self, ctx: typer.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MedDELError as error:
            print(f"meddel: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            print("meddel: interrupted; run the same again to go on", file=sys.stderr)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Data-effective learning (arXiv 2401.17542): pick the images worth pre-training on, and score what that costs."
    "\n\nOn your own images: [bold]meddel embed photos --out store[/], then "
    "[bold]meddel select store --ratio 0.05 --out kept.csv[/].",
    rich_markup_mode="rich",
)

app.command()(commands.fetch)
app.command("import")(import_embeddings)
app.command()(select)
app.add_typer(commands.data, name="data")


@app.command()
def run(
    profile: Annotated[
        ProfileChoice, typer.Option(help="smoke: minutes; laptop: a result on two cores; paper: a GPU.")
    ] = ProfileChoice.smoke,
    data: Annotated[Path | None, typer.Option(help="Folder of images, masks beside some; none: generated.")] = None,
    out: Out = Path("out"),
    seed: Annotated[int, typer.Option(min=0, help="First of the profile's seeds.")] = 0,
    seeds: Annotated[int, typer.Option(min=0, help="How many seeds; 0: as the profile has it.")] = 0,
    only: Annotated[str | None, typer.Option(help="Run only the notebooks whose names hold this.")] = None,
    selector: Annotated[
        list[str] | None,
        typer.Option(help="A selector of yours, from an installed package, for the study; repeatable."),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(help="Folder of finished cells: those of this study are taken from it, new ones kept."),
    ] = None,
    scheduler: Scheduler = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="So many processes share the study's encoders; none: one a core, if there is no GPU."),
    ] = None,
) -> None:
    """Run every section of the paper as notebooks and end with the NormDEL table and the report.

    What is finished in OUT is not done twice: interrupt it and call it again. The number of processes changes no score.
    """
    from meddel import config, report, runner, selectors, study, tables
    from meddel.cluster import commands as by_workers

    folder = "" if data is None else str(data.expanduser().resolve())
    own = ",".join(selector or ())
    numbers = {"seed": seed, "seeds": seeds}
    values = {"profile": profile.value, **numbers, "data": folder, "out": str(out.resolve()), "selectors": own}
    checked = config.run(profile.value, **numbers, data=folder, out=out.resolve())
    has_study = any("study" in notebook.stem for notebook in runner.chosen(only))
    for name in selector or ():
        selectors.get(name)
    if folder:
        study.study_index(checked)  # what is wrong with the data is said before the first notebook starts
    with study.ledger.taken(checked, ledger):
        if has_study or scheduler is not None or workers is not None:
            by_workers.study(scheduler, workers, checked, selector or [])
        runner.run_notebooks(values, checked.out, only)
    if has_study:
        print(tables.normdel_text(report.scores(out)))
    if only is None:
        print(f"report: {report.build(out)}")


@app.command()
def embed(
    images: Annotated[Path, typer.Argument(help="Folder of images, searched through.")],
    out: Annotated[Path, typer.Option(help="Folder of the store that is written.")],
    model: Annotated[str, typer.Option(help="A plain ViT of timm.")] = "vit_base_patch16_224",
    weights: Annotated[Path | None, typer.Option(help="Weights file; none: from the hub.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    scheduler: Scheduler = None,
    workers: Workers = None,
) -> None:
    """Embed a folder of images with a ViT (section 3.2): 768 numbers an image, into a store for `select`.

    Images that can't be read are listed in OUT/quarantine.csv. Interrupted, it goes on where it was.
    """
    import torch

    from meddel import encoder, index
    from meddel.cluster import commands as by_workers
    from meddel.embed import embed

    table = index.build_index(images, quarantine=out / "quarantine.csv")
    network, _ = encoder.hub(model, weights)
    if scheduler is not None or workers is not None:
        store = by_workers.embed(scheduler, workers, table, out, model=network, batch=batch)
    else:
        store = embed(table, out, model=network, batch=batch, device="cuda" if torch.cuda.is_available() else "cpu")
    print(f"{len(table)} images, {store.embeddings.shape[1]} numbers each: {out}")


@app.command("selectors")
def list_selectors() -> None:
    """List all ways to select, those of installed packages too, with the options that each takes."""
    import inspect

    from meddel import selectors

    for name in selectors.names():
        first = (inspect.getdoc(selectors.get(name)) or "").split("\n")[0]
        options = ", ".join(selectors.settings_of(name)) or "no options"
        print(f"{name}: {first} ({options})")


@app.command()
def normdel(
    miou: Annotated[float, typer.Option(help="Segmentation quality, a fraction.")],
    ratio: Annotated[float, typer.Option(help="Share of the data that was kept, a fraction.")],
    alpha: Annotated[float, typer.Option(help="Weight of the ratio.")] = 1.0,
) -> None:
    """Print NormDEL (Eq. 4-5): 1 / (1 + exp(-mIoU exp(-alpha R)))."""
    from meddel.normdel import normdel

    print(f"{100 * normdel(miou, ratio, alpha):.2f} %")


@app.command()
def check(out: Out = Path("out")) -> None:
    """Say in one line whether this machine is ready: memory, disk, and kernels that give the right answer."""
    from meddel import machine

    print(machine.check(out))


@app.command()
def report(out: Out = Path("out")) -> None:
    """Build the HTML report anew from what lies in OUT, and print the NormDEL table."""
    from meddel import report, tables

    print(tables.normdel_text(report.scores(out)))
    print(f"report: {report.build(out)}")


@app.command()
def record(
    folder: Annotated[Path, typer.Argument(help="Folder of the record; its name is that of the README's marks.")],
    profile: Annotated[ProfileChoice, typer.Option(help="Of the run.")] = ProfileChoice.smoke,
    data: Annotated[Path | None, typer.Option(help="Of the run.")] = None,
    out: Out = Path("out"),
    seed: Annotated[int, typer.Option(min=0, help="Of the run.")] = 0,
    seeds: Annotated[int, typer.Option(min=0, help="Of the run.")] = 0,
    command: Annotated[str, typer.Option(help="What a person types to get it again.")] = "make study",
    readme: Annotated[Path | None, typer.Option(help="Markdown file whose marks get the table.")] = None,
) -> None:
    """Keep the small part of a run that a project shows: its finished cells, table, figures and provenance."""
    from meddel import artefacts, config, record

    run = config.run(
        profile.value, seed=seed, seeds=seeds, data=data and data.expanduser().resolve(), out=out.resolve()
    )
    for path in record.record(run, folder, command):
        print(path)
    if readme is not None:
        results = (folder / "summary.md").read_text(encoding="utf-8")
        artefacts.write_text(readme, record.insert(readme.read_text(encoding="utf-8"), folder.name, results))


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Print the version if asked."""
    if show:
        print(f"meddel {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 a problem said in one line, 2 wrong usage, 130 interrupted."""
    app(prog_name="meddel")
