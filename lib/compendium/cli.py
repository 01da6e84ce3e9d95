"""The command line ``meddel``: the method's commands, those of the data sets, and the whole paper in one command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from datadel import cli as datasets
from meddel import cli
from meddel.cli import Out, Scheduler

if TYPE_CHECKING:
    from meddel.config import Run

commands = typer.Typer()
commands.command()(datasets.fetch)
commands.add_typer(datasets.data, name="data")


Profile = Literal["smoke", "laptop", "paper"]


@commands.command()
def run(
    profile: Annotated[
        Profile, typer.Option(help="smoke: minutes; laptop: a result on two cores; paper: a GPU.")
    ] = "smoke",
    data: Annotated[Path | None, typer.Option(help="Folder of images, masks beside some; none: generated.")] = None,
    out: Out = Path("out"),
    seed: Annotated[int, typer.Option(min=0, help="First of the profile's seeds.")] = 0,
    seeds: Annotated[int, typer.Option(min=0, help="How many seeds; 0: as the profile has it.")] = 0,
    only: Annotated[str | None, typer.Option(help="Run only the notebooks whose names contain this.")] = None,
    selector: Annotated[
        list[str] | None,
        typer.Option(help="A selector of yours, from an installed package, for the study; repeatable."),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(help="Folder of finished scores: those of this study are loaded from it, new ones saved."),
    ] = None,
    scheduler: Scheduler = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="So many processes share the study's encoders; none: one a core, if there is no GPU."),
    ] = None,
) -> None:
    """Run every section of the paper as notebooks, and end with the NormDEL table and the report.

    What is finished in OUT is not done twice: interrupt it and call it again. The number of processes changes no score.
    """
    from compendium import notebooks, report, tables
    from compendium.generated import with_data
    from meddel import config, select, study

    folder = "" if data is None else str(data.expanduser().resolve())
    own = ",".join(selector or ())
    numbers = {"seed": seed, "seeds": seeds}
    values = {"profile": profile, **numbers, "data": folder, "out": str(out.resolve()), "selectors": own}
    asked = config.run(profile, **numbers, data=folder, out=out.resolve())
    has_study = any("study" in notebook.stem for notebook in notebooks.chosen(only))
    for name in selector or ():
        select.get(name)
    checked = with_data(asked)
    if folder:
        study.study_index(checked)  # report what is wrong with the data before the first notebook starts
    with kept(checked, ledger):
        if has_study or scheduler is not None or workers is not None:
            from meddel.scale.jobs import share_study

            share_study(checked, selector or [], scheduler, workers)
        notebooks.run_notebooks(values, checked.out, only)
    if has_study:
        print(tables.normdel_text(report.scores(out)))
    if only is None:
        print(f"report: {report.build(out)}")


@contextmanager
def kept(run: Run, folder: Path | None) -> Iterator[None]:
    """Take finished cells of a run's studies from the ledger in `folder`, and add what the block finishes."""
    from compendium.questions import probes
    from meddel import study

    with ExitStack() as stack:
        if folder is not None:
            stack.enter_context(study.ledger.synced(run, folder))
            for name, own in probes.masked_studies(run).items():
                stack.enter_context(study.ledger.synced(own, folder / name))
        yield


@commands.command()
def record(
    folder: Annotated[Path, typer.Argument(help="Folder of the record; its name is that of the page's marks.")],
    profile: Annotated[Profile, typer.Option(help="Of the run.")] = "smoke",
    data: Annotated[Path | None, typer.Option(help="Of the run.")] = None,
    out: Out = Path("out"),
    seed: Annotated[int, typer.Option(min=0, help="Of the run.")] = 0,
    seeds: Annotated[int, typer.Option(min=0, help="Of the run.")] = 0,
    command: Annotated[str, typer.Option(help="What a person types to get it again.")] = "make study",
    notebook: Annotated[
        str | None, typer.Option(help="Keep what this notebook of the run shows, instead of the study.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Markdown file whose marks get the table.")] = None,
) -> None:
    """Keep the small part of a run that a project shows: its finished cells, tables, figures and provenance."""
    from compendium import record
    from meddel import artefacts, config

    if notebook is not None:
        written = record.record_notebook(out, notebook, folder, command)
    else:
        given = {"seed": seed, "seeds": seeds, "data": data and data.expanduser().resolve(), "out": out.resolve()}
        written = record.record(config.run(profile, **given), folder, command)
    print(*written, sep="\n")
    if page is not None:
        results = (folder / "summary.md").read_text(encoding="utf-8")
        artefacts.write_text(page, record.insert(page.read_text(encoding="utf-8"), folder.name, results))


@commands.command()
def report(out: Out = Path("out")) -> None:
    """Build the HTML report of the run in OUT again, and print the NormDEL table."""
    from compendium import report, tables

    print(tables.normdel_text(report.scores(out)))
    print(f"report: {report.build(out)}")


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 a problem, 2 wrong usage, 130 interrupted."""
    cli.new_app(commands, cli.commands)(prog_name="meddel")
