"""Get data sets from the command line: `meddel fetch`, and `meddel data` with list, status, prepare, verify and so on.

Each command imports what it needs when it is called, so that ``--help`` waits for nothing.
"""

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

    They are kept in the folder that MEDDEL_DATA names, else in the system's cache. A set without a published hash is
    trusted the first time and held to that hash from then on.
    """
    from datadel import fetch as fetching
    from datadel import manifest

    wanted = [manifest.load(name) for name in names]
    if dry_run:
        print(fetching.dry_run(wanted, only))
        return
    for one in wanted if accept else ():
        if one.archives and not fetching.is_accepted(one):
            print(fetching.terms(one))
    ask = _asked if sys.stdin.isatty() else None
    for name, paths in fetching.fetch(wanted, only, source=source, accept=accept, ask=ask).items():
        print(f"{name}: {', '.join(map(str, paths))}")
        print(f"next: meddel data prepare {name}")


def _asked(terms: str) -> bool:
    print(terms)
    return typer.confirm("Do you accept this?")


@data.command("list")
def list_sets() -> None:
    """Show every set: what it holds, who may have it, how large it is, and what is here."""
    from tabulate import tabulate

    from datadel import manifest, statistics

    rows = [statistics.listed(manifest.load(name)) for name in manifest.names()]
    print(tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True))


@data.command()
def status(names: Names) -> None:
    """Show of each set what is known, what is in doubt, what is here, and what a prepared one holds."""
    from datadel import manifest, statistics

    print("\n\n".join(statistics.explained(manifest.load(name)) for name in names))


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
    from datadel import cache, manifest
    from datadel.prepare import prepare
    from datadel.unpack import unpack_set

    wanted = [manifest.load(name) for name in names]
    if source is not None and len(wanted) > 1:
        raise MedDELError("--source is for one set at a time", fix="give one name")
    for one in wanted:
        folder = cache.prepared(one.name) if out is None else out / one.name
        table = prepare(one, unpack_set(one, source), folder, rate=rate or None)
        pairs = table.num_rows - table["mask"].null_count
        print(f"{one.name}: {table.num_rows} images, {pairs} with a mask: {folder}")


@data.command()
def verify(names: Some = None) -> None:
    """Read the archives and the prepared images of sets again, and hold them to their hashes."""
    from datadel import cache, fetch, manifest, prepare

    found = False
    for one in map(manifest.load, names or manifest.names()):
        fetched = any(file.status == "fetched" for file in cache.cached(one))
        archives = len(fetch.verify_set(one)) if fetched else 0
        folder = cache.prepared(one.name)
        images = prepare.verify(folder) if (folder / "index.parquet").is_file() else 0
        found = found or bool(archives or images)
        if archives or images or names:
            print(f"{one.name}: {archives} archives and {images} prepared files are as they were")
    if not found and not names:
        print("nothing is here yet: meddel fetch NAME")


@data.command()
def remove(names: Names) -> None:
    """Delete the archives, the unpacked and the prepared files of sets from the cache."""
    from datadel import cache, fetch, manifest

    for one in [manifest.load(name) for name in names]:
        print(f"{one.name}: {fetch.amount(cache.remove(one.name))} are free again")


@data.command()
def decontaminate(
    pool: Annotated[str, typer.Argument(help="What is pre-trained on: a prepared set, or a folder of images.")],
    test: Annotated[str, typer.Argument(help="What is tested on, in the same way.")],
    out: Annotated[Path, typer.Option(help="Folder for the clean index, the list of duplicates and their pictures.")],
    every: Annotated[
        bool, typer.Option("--every-split", help="Not only the test split, if the set is divided.")
    ] = False,
) -> None:
    """Remove from a pool the images that are in a test set, as they are, re-encoded, resized or nearly so.

    OUT gets index.parquet (what is clean), duplicates.csv (pair by pair, why) and duplicates.png (the least alike
    pairs, to look at).
    """
    from datadel import overlap

    ours, theirs = _index_of(pool), _index_of(test)
    if not every:
        theirs = overlap.test_split(theirs)
    clean, pairs = overlap.decontaminate(ours, theirs, out)
    gone = ours.num_rows - clean.num_rows
    print(f"{gone} of {ours.num_rows} images are among {theirs.num_rows} to test on ({_kinds(pairs)}): {out}")


@data.command()
def duplicates(
    images: Annotated[str, typer.Argument(help="A prepared set, or a folder of images.")],
    out: Annotated[Path, typer.Option(help="Folder for the list of duplicates and their pictures.")],
) -> None:
    """Find the images of one set that repeat an earlier one, exactly or nearly."""
    from datadel import overlap

    table = _index_of(images)
    pairs = overlap.find_duplicates(table, out=out)
    repeats = table.num_rows - overlap.without(table, pairs).num_rows
    print(f"{repeats} of {table.num_rows} images repeat an earlier one ({_kinds(pairs)}): {out}")


def _kinds(pairs: Any) -> str:
    counts = [f"{row['counts']} {row['values']}" for row in pairs["kind"].value_counts().to_pylist()]
    return ", ".join(counts) or "none"


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
