"""The commands that get data sets: `meddel fetch`, and `meddel data` with list, status, prepare, verify and so on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from meddel.errors import MedDELError

data = typer.Typer(
    no_args_is_help=True,
    help="The data sets of DataDEL (section 3.1): what there is, fetched and prepared, under which licence.",
)

Names = Annotated[list[str], typer.Argument(help="Sets, as `meddel data list` names them.", show_default=False)]
Some = Annotated[list[str] | None, typer.Argument(help="Sets; none: all that are here.", show_default=False)]


def fetch(
    names: Names,
    only: Annotated[str | None, typer.Option(help="Only archives of this name; may hold * and ?.")] = None,
    source: Annotated[
        Path | None, typer.Option(help="Where your browser put the archives of sets behind a form.")
    ] = None,
    accept: Annotated[bool, typer.Option("--accept", help="I have read the licences and accept them.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only add up what would be fetched.")] = False,
) -> None:
    """Fetch the archives of data sets. Interrupted, it goes on where it was.

    They go to the folder that MEDDEL_DATA names, else to the system's cache. A set without a published hash is trusted
    the first time and held to that hash from then on.
    """
    from datadel import manifest
    from datadel.fetching import fetch as fetching
    from datadel.fetching import licence

    wanted = [manifest.load(name) for name in names]
    if dry_run:
        print(fetching.dry_run(wanted, only))
        return
    ask = _asked if sys.stdin.isatty() else None
    for one in wanted if accept else ():
        if one.archives and not licence.is_accepted(one):
            print(licence.terms(one))
    fetched = fetching.fetch(wanted, only, source=source, accept=accept, ask=ask)
    for name, paths in fetched.items():
        print(f"{name}: {', '.join(str(path) for path in paths)}")
        print(f"next: meddel data prepare {name}")


def _asked(terms: str) -> bool:
    print(terms)
    return typer.confirm("Do you accept this?")


@data.command("list")
def list_sets() -> None:
    """Show every set: what it holds, who may have it, how large it is, and what is here."""
    from datadel import manifest, statistics

    print(_text([statistics.listed(manifest.load(name)) for name in manifest.names()]))


@data.command()
def status(names: Names) -> None:
    """Show of each set what is known, what is in doubt, and what is here."""
    from datadel import manifest, statistics

    print("\n\n".join(statistics.told(manifest.load(name)) for name in names))


@data.command()
def prepare(
    names: Names,
    source: Annotated[Path | None, typer.Option(help="Folder of the archives or of their files; one set only.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that gets a folder for each set; none: the cache.")] = None,
    rate: Annotated[float, typer.Option(help="Of videos, frames a second; 0: all.")] = 1.0,
) -> None:
    """Unpack sets and pair images with masks: folders that every other command reads, each with its index.

    Interrupted, it goes on where it was.
    """
    from datadel import cache, manifest, prepare, sources

    wanted = [manifest.load(name) for name in names]
    if source is not None and len(wanted) > 1:
        raise MedDELError("--source is for one set at a time", fix="give one name")
    for one in wanted:
        folder = cache.prepared(one.name) if out is None else out / one.name
        table = prepare.prepare(one, sources.unpacked(one, source), folder, rate=rate or None)
        pairs = table.num_rows - table["mask"].null_count
        print(f"{one.name}: {table.num_rows} images, {pairs} with a mask: {folder}")


@data.command()
def verify(names: Some = None) -> None:
    """Read the archives and the prepared images of sets again, and hold them to their hashes."""
    from datadel import cache, manifest, prepare
    from datadel.fetching import fetch

    found = False
    for one in map(manifest.load, names or manifest.names()):
        fetched = any(held.status == "fetched" for held in cache.state(one).archives)
        archives = fetch.verify(one) if fetched else []
        folder = cache.prepared(one.name)
        images = prepare.verify(folder) if (folder / "index.parquet").is_file() else 0
        found = found or bool(archives or images)
        if archives or images or names:
            print(f"{one.name}: {len(archives)} archives and {images} prepared files are as they were")
    if not found and not names:
        print("nothing is here yet: meddel fetch NAME")


@data.command()
def remove(names: Names) -> None:
    """Delete the archives, the unpacked and the prepared files of sets from the cache."""
    from datadel import manifest
    from datadel.fetching import fetch

    for one in [manifest.load(name) for name in names]:
        print(f"{one.name}: {fetch.amount(fetch.remove(one))} are free again")


@data.command()
def stats(names: Some = None) -> None:
    """Count what is prepared: images, masks, videos, centres, splits, resolutions, licences."""
    from datadel import cache, manifest, statistics
    from meddel.images import index

    rows = []
    for one in map(manifest.load, names or manifest.names()):
        path = cache.prepared(one.name) / "index.parquet"
        if path.is_file():
            rows.append(statistics.described(one, index.read_index(path, path.parent)))
        elif names:
            raise MedDELError(f"{one.name} is not prepared", path.parent, f"meddel data prepare {one.name}")
    print(_text(rows) if rows else "nothing is prepared yet: meddel data prepare NAME")


@data.command()
def decontaminate(
    pool: Annotated[str, typer.Argument(help="What is pre-trained on: a prepared set, or a folder of images.")],
    test: Annotated[str, typer.Argument(help="What is tested on, in the same way.")],
    out: Annotated[Path, typer.Option(help="Folder for the clean index, the list of twins and their pictures.")],
    every: Annotated[
        bool, typer.Option("--every-split", help="Not only the test split, if the set is divided.")
    ] = False,
) -> None:
    """Remove from a pool the images that stand in a test set, as they are, re-encoded, resized or nearly so.

    OUT gets index.parquet (what is clean), twins.csv (pair by pair, why) and twins.png (the least alike pairs, to look
    at).
    """
    from datadel import decontaminate as cleaning

    ours, theirs = _index_of(pool), _index_of(test)
    if not every:
        theirs = cleaning.test_split(theirs)
    clean, twins = cleaning.decontaminate(ours, theirs, out)
    gone = ours.num_rows - clean.num_rows
    kinds = ", ".join(f"{row['counts']} {row['values']}" for row in twins["kind"].value_counts().to_pylist())
    print(f"{gone} of {ours.num_rows} images stand among {theirs.num_rows} to test on ({kinds or 'none'}): {out}")


@data.command()
def duplicates(
    images: Annotated[str, typer.Argument(help="A prepared set, or a folder of images.")],
    out: Annotated[Path, typer.Option(help="Folder for the list of twins and their pictures.")],
) -> None:
    """Find the images of one set that repeat an earlier one, exactly or nearly."""
    from datadel import decontaminate as cleaning

    table = _index_of(images)
    twins = cleaning.within(table, out)
    clean = cleaning.without(table, twins)
    kinds = ", ".join(f"{row['counts']} {row['values']}" for row in twins["kind"].value_counts().to_pylist())
    print(
        f"{table.num_rows - clean.num_rows} of {table.num_rows} images repeat an earlier one ({kinds or 'none'}): {out}"
    )


@data.command()
def speed(images: Annotated[str, typer.Argument(help="A prepared set, or a folder of images.")]) -> None:
    """Measure how fast this machine reads, decodes, fingerprints and compares the images of a folder."""
    from datadel import speed as measuring

    table = measuring.speed(_index_of(images)).round({"seconds": 3, "a second": 0, "of decoding": 2})
    print(_text(table.to_dict("records")))


def _index_of(name: str) -> Any:
    """Return the index of a prepared set, or of a folder."""
    from datadel import cache, manifest
    from meddel.images import index

    if name not in manifest.names():
        return index.build_index(Path(name))
    path = cache.prepared(name) / "index.parquet"
    if not path.is_file():
        raise MedDELError(f"{name} is not prepared", path.parent, f"meddel data prepare {name}")
    return index.read_index(path, path.parent)


def _text(rows: list[dict[str, Any]]) -> str:
    import pandas as pd

    frame = pd.DataFrame(rows).astype(object)
    return frame.where(frame.notna(), "").to_markdown(index=False, tablefmt="simple", disable_numparse=True)
