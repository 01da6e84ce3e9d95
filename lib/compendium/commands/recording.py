"""``meddel record``: the small part of a run that a project shows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compendium.commands.options import Out, ProfileChoice


def record(
    folder: Annotated[Path, typer.Argument(help="Folder of the record; its name is that of the README's marks.")],
    profile: Annotated[ProfileChoice, typer.Option(help="Of the run.")] = ProfileChoice.smoke,
    data: Annotated[Path | None, typer.Option(help="Of the run.")] = None,
    out: Out = Path("out"),
    seed: Annotated[int, typer.Option(min=0, help="Of the run.")] = 0,
    seeds: Annotated[int, typer.Option(min=0, help="Of the run.")] = 0,
    command: Annotated[str, typer.Option(help="What a person types to get it again.")] = "make study",
    notebook: Annotated[
        str | None, typer.Option(help="Keep what this notebook of the run shows, instead of the study.")
    ] = None,
    readme: Annotated[Path | None, typer.Option(help="Markdown file whose marks get the table.")] = None,
) -> None:
    """Keep the small part of a run that a project shows: its finished cells, tables, figures and provenance."""
    from compendium import record
    from meddel import artefacts, config

    if notebook is not None:
        written = record.record_notebook(out, notebook, folder, command)
    else:
        given = {"seed": seed, "seeds": seeds, "data": data and data.expanduser().resolve(), "out": out.resolve()}
        written = record.record(config.run(profile.value, **given), folder, command)
    print(*written, sep="\n")
    if readme is not None:
        results = (folder / "summary.md").read_text(encoding="utf-8")
        artefacts.write_text(readme, record.insert(readme.read_text(encoding="utf-8"), folder.name, results))
