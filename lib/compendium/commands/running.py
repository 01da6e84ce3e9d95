"""``meddel run``: every section of the paper as notebooks, with its study."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compendium.commands.options import Out, ProfileChoice, Scheduler

if TYPE_CHECKING:
    from meddel.config import Run


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
    from compendium import report, runner, tables
    from compendium.commands import by_workers
    from meddel import config, study
    from meddel import select as selectors

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
    with kept(checked, ledger):
        if has_study or scheduler is not None or workers is not None:
            by_workers.study(scheduler, workers, checked, selector or [])
        runner.run_notebooks(values, checked.out, only)
    if has_study:
        print(tables.normdel_text(report.scores(out)))
    if only is None:
        print(f"report: {report.build(out)}")


@contextmanager
def kept(run: Run, folder: Path | None) -> Iterator[None]:
    """Take the finished cells of a run's studies from the ledger in `folder`, and keep there what the block finishes.

    The study has the folder, that of every set with masks of another modality (`compendium.questions.sources`) one in it
    by the set's name. Without a folder nothing is done.

    Raises
    ------
    MedDELError
        As `meddel.study.ledger.taken`.
    """
    from compendium.questions import sources
    from meddel import study

    with ExitStack() as stack:
        if folder is not None:
            stack.enter_context(study.ledger.taken(run, folder))
            for name, own in sources.masked_studies(run).items():
                stack.enter_context(study.ledger.taken(own, folder / name))
        yield
