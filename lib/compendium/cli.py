"""The command line: MedDEL on a folder of images, NormDEL on two numbers, and the whole paper in one command.

Each command imports what it needs: torch takes seconds, and who asks for help or for two numbers needn't wait.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from compendium.commands.embedding import embed
from compendium.commands.importing import import_embeddings
from compendium.commands.options import Out
from compendium.commands.recording import record
from compendium.commands.running import run
from compendium.commands.selecting import select
from datadel import commands as datasets
from meddel import __version__
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

for _command in (run, embed, select, datasets.fetch, record):
    app.command()(_command)
app.command("import")(import_embeddings)
app.add_typer(datasets.data, name="data")


@app.command("selectors")
def list_selectors() -> None:
    """List all ways to select, those of installed packages too, with the options that each takes."""
    import inspect

    from meddel import select as selectors

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
    from compendium import report, tables

    print(tables.normdel_text(report.scores(out)))
    print(f"report: {report.build(out)}")


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Print the version if asked."""
    if show:
        print(f"meddel {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 a problem said in one line, 2 wrong usage, 130 interrupted."""
    app(prog_name="meddel")
