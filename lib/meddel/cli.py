"""The command line: MedDEL on a folder of images, NormDEL on two numbers, and the whole paper in one command."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from meddel import __version__, config, embed as embedding, encoder, index, normdel as score, report as reporting
from meddel import runner, selectors, tables
from meddel.errors import MedDELError
from meddel.store import Store

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Data-effective learning (arXiv 2401.17542): pick the images worth pre-training on, and score what that costs."
    "\n\nOn your own images: [bold]meddel embed photos --out store[/], then "
    "[bold]meddel select store --ratio 0.05 --out kept.csv[/].",
    rich_markup_mode="rich",
)


class ProfileChoice(str, Enum):
    """The profiles of `meddel.config`."""

    smoke = "smoke"
    laptop = "laptop"
    paper = "paper"


class KeepChoice(str, Enum):
    """Which image of a pair of near duplicates stays."""

    near = "near"
    far = "far"
    random = "random"


Out = Annotated[Path, typer.Option(help="Folder for everything that the run writes; call again to go on.")]


@app.command()
def run(
    profile: Annotated[ProfileChoice, typer.Option(help="smoke: minutes; laptop: a result on two cores; paper: a GPU.")]
    = ProfileChoice.smoke,
    data: Annotated[Path | None, typer.Option(help="Folder of images, masks beside some; none: generated.")] = None,
    out: Out = Path("out"),
    seed: Annotated[int, typer.Option(min=0, help="First of the profile's seeds.")] = 0,
    only: Annotated[str | None, typer.Option(help="Run only the notebooks whose names hold this.")] = None,
) -> None:
    """Run every section of the paper as notebooks and end with the NormDEL table and the report.

    What is finished in OUT is not done twice: interrupt it and call it again.
    """
    checked = config.run(profile.value, seed=seed, data=data, out=out)
    folder = "" if data is None else str(checked.data.resolve())
    values = {"profile": profile.value, "seed": seed, "data": folder, "out": str(out.resolve())}
    runner.run_notebooks(values, out.resolve(), only)
    if only is None:
        print(tables.normdel_text(reporting.scores(out)))
        print(f"report: {reporting.build(out)}")


@app.command()
def embed(
    images: Annotated[Path, typer.Argument(help="Folder of images, searched through.")],
    out: Annotated[Path, typer.Option(help="Folder of the store that is written.")],
    model: Annotated[str, typer.Option(help="A plain ViT of timm.")] = encoder.HUB_NAME,
    weights: Annotated[Path | None, typer.Option(help="Weights file; none: from the hub.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
) -> None:
    """Embed a folder of images with a ViT (section 3.2): 768 numbers an image, into a store for `select`.

    Images that can't be read are listed in OUT/quarantine.csv. Interrupted, it goes on where it was.
    """
    table = index.build_index(images, quarantine=out / "quarantine.csv")
    network, _ = encoder.hub(model, weights)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    store = embedding.embed(table, out, model=network, batch=batch, device=device)
    print(f"{len(table)} images, {store.embeddings.shape[1]} numbers each: {out}")


@app.command()
def select(
    store: Annotated[Path, typer.Argument(help="Folder that `meddel embed` wrote.")],
    out: Annotated[Path, typer.Option(help="CSV of the paths to keep, best first.")],
    ratio: Annotated[float | None, typer.Option(help="Share to keep, such as 0.05.")] = None,
    eta: Annotated[float | None, typer.Option(help="Instead of a ratio: cosine above which a pair is duplicate.")]
    = None,
    selector: Annotated[str, typer.Option(help="meddel, or random as a baseline.")] = "meddel",
    keep: Annotated[KeepChoice, typer.Option(help="Which of two duplicates stays, by distance to the centroid.")]
    = KeepChoice.near,
    k: Annotated[int | None, typer.Option(min=1, help="Clusters; none: sqrt(n / 2).")] = None,
    eps: Annotated[float, typer.Option(help="Farther than this from the centroid is an outlier.")] = 0.9,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Pick the images worth keeping (MedDEL, section 3.2) and say of every other one why it went.

    Beside OUT lies a second file with the reasons: outlier at which distance, or duplicate of which image.
    """
    if (ratio is None) == (eta is None):
        raise MedDELError("give either --ratio or --eta", fix="such as --ratio 0.05")
    opened = Store.open(store)
    settings = {} if selector == "random" else {"k": k, "eps": eps, "keep": keep.value}
    rng = np.random.default_rng(seed)
    if ratio is not None:
        budget = selectors.budget_for(config.check_ratio(ratio), len(opened.index))
        selection = selectors.get(selector)(opened.embeddings, opened.index, budget, rng, **settings)
    elif selector == "meddel":
        selection = selectors.meddel.at_threshold(opened.embeddings, opened.index, eta, rng, **settings)
    else:
        raise MedDELError(f"{selector} knows no threshold", fix="give --ratio instead of --eta")
    reasons = out.with_name(f"{out.stem}_reasons.csv")
    selectors.write_kept_csv(selection, opened.index, out, reasons)
    kept = sum(selection["kept"].to_pylist())
    print(f"kept {kept} of {len(selection)} ({kept / len(selection):.2%}): {out}; the rest: {reasons}")


@app.command()
def normdel(
    miou: Annotated[float, typer.Option(help="Segmentation quality, a fraction.")],
    ratio: Annotated[float, typer.Option(help="Share of the data that was kept, a fraction.")],
    alpha: Annotated[float, typer.Option(help="Weight of the ratio.")] = 1.0,
) -> None:
    """Print NormDEL (Eq. 4-5): 1 / (1 + exp(-mIoU exp(-alpha R)))."""
    print(f"{score.normdel(miou, ratio, alpha):.2%}")


@app.command()
def report(out: Out = Path("out")) -> None:
    """Build the HTML report anew from what lies in OUT, and print the NormDEL table."""
    print(tables.normdel_text(reporting.scores(out)))
    print(f"report: {reporting.build(out)}")


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Print the version if asked."""
    if show:
        print(f"meddel {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 a problem said in one line, 2 wrong usage, 130 interrupted."""
    try:
        app(standalone_mode=True)
    except MedDELError as error:
        print(f"meddel: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("meddel: interrupted; run the same again to go on", file=sys.stderr)
        raise SystemExit(130) from None
