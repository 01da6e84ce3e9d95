"""Fetch data sets into the cache, say before what that costs, check what is there, and remove it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from datadel import cache
from datadel.fetching import adopt, licence
from datadel.fetching.download import download
from datadel.fetching.transfer import USUAL, Patience
from datadel.manifest import Archive, Manifest
from meddel.errors import MedDELError

_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
_LOG = logging.getLogger("meddel")


class Planned(NamedTuple):
    """An archive to fetch, and the bytes that are left to fetch of it: 0 if it is there, None if nobody knows."""

    manifest: Manifest
    archive: Archive
    left: int | None


def plan(manifests: Iterable[Manifest], only: str | None = None) -> list[Planned]:
    """Return what `fetch` would fetch. Nothing is read but the sizes of what is there.

    Parameters
    ----------
    manifests : iterable of Manifest
        The sets.
    only : str or None
        Pattern of archive names, such as ``"*_224.npz"``; None for all.

    Raises
    ------
    MedDELError
        There are archives, and the pattern fits none of them.
    """
    manifests = list(manifests)
    every = [Planned(one, held.archive, _left(held)) for one in manifests for held in cache.state(one).archives]
    chosen = [planned for planned in every if only is None or fnmatchcase(planned.archive.name, only)]
    if every and not chosen:
        names = ", ".join(planned.archive.name for planned in every)
        raise MedDELError(f"no archive is called {only!r}", fix=f"there are {names}")
    return chosen


def _left(held: cache.Held) -> int | None:
    if held.status == "fetched":
        return 0
    return None if held.archive.size is None else max(held.archive.size - held.size, 0)


def dry_run(manifests: Iterable[Manifest], only: str | None = None) -> str:
    """Return a table of what `fetch` would fetch, with the sum of the bytes that are still to come.

    A size with ``~`` is rounded, by the page that states it; what has none is counted apart.

    Parameters
    ----------
    manifests : iterable of Manifest
        The sets.
    only : str or None
        Pattern of archive names.

    Raises
    ------
    MedDELError
        The pattern fits no archive.
    """
    planned = plan(manifests, only)
    rows = [(entry.manifest.name, entry.archive.name, _state_of(entry), _way(entry)) for entry in planned]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = [
        f"{name:{widths[0]}}  {archive:{widths[1]}}  {size:>{widths[2]}}  {way}".rstrip()
        for name, archive, size, way in rows
    ]
    due = [entry for entry in planned if entry.left != 0]
    known = [entry for entry in due if entry.left is not None]
    total = amount(sum(entry.left or 0 for entry in known), any(entry.archive.approximate for entry in known))
    unknown = f" and {len(due) - len(known)} of unknown size" if len(due) > len(known) else ""
    there = f"; {len(planned) - len(due)} there already" if len(planned) > len(due) else ""
    return "\n".join([*lines, f"to fetch: {_counted(len(due), 'archive')}, {total}{unknown}{there}"])


def _state_of(entry: Planned) -> str:
    if entry.left is None:
        return "unknown size"
    return "there" if entry.left == 0 else amount(entry.left, entry.archive.approximate)


def _way(entry: Planned) -> str:
    return f"by hand: {entry.manifest.how}" if entry.left != 0 and _by_hand(entry.manifest, entry.archive) else ""


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def amount(size: int, approximate: bool = False) -> str:
    """Return bytes as a person reads them, in powers of 1000, with ``~`` before a rounded figure."""
    unit, factor = next(((unit, factor) for unit, factor in _UNITS if size >= factor), ("B", 1))
    return f"{'~' if approximate else ''}{size / factor:.{0 if factor == 1 else 1}f} {unit}"


def fetch(
    manifests: Iterable[Manifest],
    only: str | None = None,
    *,
    source: Path | None = None,
    accept: bool = False,
    ask: Callable[[str], bool] | None = None,
    patience: Patience = USUAL,
) -> dict[str, list[Path]]:
    """Fetch the archives of data sets; what is there already is left alone, and what broke off goes on.

    A set that fails doesn't keep the next from being fetched.

    Parameters
    ----------
    manifests : iterable of Manifest
        The sets.
    only : str or None
        Pattern of archive names; None for all.
    source : Path or None
        File or folder from which to take archives before asking a server, or where only a person can get them.
    accept : bool
        The licences are accepted.
    ask : callable or None
        Shows a licence's terms and tells whether the person accepts them; None where nobody can be asked.
    patience : Patience
        How long to wait for a server, and how often to try again.

    Returns
    -------
    dict of str to list of Path
        The archives of each set, in the manifest's order.

    Raises
    ------
    MedDELError
        Something was not fetched: which, why, and what to do.
    """
    manifests = list({manifest.name: manifest for manifest in manifests}.values())
    wanted: dict[str, tuple[Manifest, list[Archive]]] = {one.name: (one, []) for one in manifests if not one.archives}
    for manifest, archive, _ in plan(manifests, only):
        wanted.setdefault(manifest.name, (manifest, []))[1].append(archive)
    names = [archive.name for _, archives in wanted.values() for archive in archives]
    if source is not None and source.is_file() and len(names) > 1 and source.name not in names:
        raise MedDELError("this file has the name of none of the archives", source, f"they are {', '.join(names)}")
    cache.claim()
    fetched: dict[str, list[Path]] = {}
    failures: dict[str, MedDELError] = {}
    for name, (manifest, archives) in wanted.items():
        try:
            if not archives:
                raise MedDELError(f"{name} has nothing to fetch", manifest.landing, manifest.how)
            licence.require(manifest, ask, accept)
            with cache.lock(name):
                _fetch_set(manifest, archives, source, patience, alone=len(names) == 1)
            fetched[name] = [cache.archive_path(name, archive) for archive in archives]
        except MedDELError as error:
            failures[name] = error
            if len(wanted) > 1:
                _LOG.warning("%s: %s", name, error)
    _raise_all("sets were not fetched", len(wanted), failures)
    return fetched


def _fetch_set(
    manifest: Manifest, archives: Sequence[Archive], source: Path | None, patience: Patience, *, alone: bool
) -> None:
    """Fetch archives of one set; one that fails doesn't keep the next from being fetched."""
    name, missing = manifest.name, []
    failures: dict[str, MedDELError] = {}
    for archive in archives:
        try:
            there = adopt.in_place(name, archive)
            if not there and source is not None:
                there = adopt.from_source(name, archive, source, alone=alone)
            if not there:
                missing.append(archive)
        except MedDELError as error:
            failures[archive.name] = error
    by_hand = [archive for archive in missing if _by_hand(manifest, archive)]
    if by_hand:
        failures[by_hand[0].name] = _instructions(manifest, by_hand)
    due = [held for held in cache.state(manifest).archives if held.archive in missing and held.archive not in by_hand]
    cache.need(sum(_left(held) or 0 for held in due), cache.archives(name))
    for held in due:
        try:
            download(manifest, held.archive, patience)
        except MedDELError as error:
            failures[held.archive.name] = error
    _raise_all("archives are missing", len(archives), failures)


def _by_hand(manifest: Manifest, archive: Archive) -> bool:
    return manifest.access != "open" or not archive.urls


def _instructions(manifest: Manifest, archives: Sequence[Archive]) -> MedDELError:
    """Make the folder in which a person has to put archives, and say so."""
    folder, names = cache.archives(manifest.name), ", ".join(archive.name for archive in archives)
    with cache.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    what = f"{manifest.name} can't be fetched without a person: {manifest.how.rstrip('.')}"
    return MedDELError(what, manifest.landing, f"then put {names} into {folder} and call again")


def _raise_all(what: str, of: int, failures: dict[str, MedDELError]) -> None:
    """Raise what failed as one error, if anything did."""
    if len(failures) == 1:
        raise next(iter(failures.values()))
    if failures:
        reasons = "; ".join(f"{name}: {error}" for name, error in failures.items())
        raise MedDELError(f"{len(failures)} of {of} {what}: {reasons}")


def verify(manifest: Manifest) -> list[Path]:
    """Read every archive of a set that is there to its end, and return those; all have the right hash.

    Raises
    ------
    MedDELError
        None is there; or some are damaged or have changed: all of them, each with both hashes.
    """
    whole: list[Path] = []
    failures: dict[str, MedDELError] = {}
    there = [held.archive for held in cache.state(manifest).archives if held.status == "fetched"]
    if not there:
        raise MedDELError(f"no archive of {manifest.name} is there", cache.archives(manifest.name), "fetch it first")
    with cache.lock(manifest.name):
        for archive in there:
            try:
                adopt.hold(manifest.name, archive, path := cache.archive_path(manifest.name, archive), path)
                whole.append(path)
            except MedDELError as error:
                failures[archive.name] = error
    _raise_all("archives are not what they were", len(there), failures)
    return whole


def remove(manifest: Manifest) -> int:
    """Delete all files of a set in the cache and return the bytes that this frees; see `cache.remove`."""
    return cache.remove(manifest.name)
