"""Fetch data sets into the cache: what it costs, the licence, the mirrors, and what only a person can get."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from datadel import cache, verify
from datadel.download import DownloadError, RetryPolicy, discard, download
from datadel.manifest import Archive, Manifest
from meddel import artefacts
from meddel.errors import MedDELError

ACCEPTED = "accepted.json"
_USUAL = RetryPolicy()
_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


class Planned(NamedTuple):
    """An archive to fetch, and the bytes that are left to fetch: 0 if it is there, None if nobody knows."""

    manifest: Manifest
    archive: Archive
    left: int | None


def plan(manifests: Iterable[Manifest], only: str | None = None) -> list[Planned]:
    """Return what `fetch` would fetch of the archives whose names match the pattern `only`."""
    every = []
    for manifest in manifests:
        for archive, status, size in cache.cached(manifest):
            left = None if archive.size is None else max(archive.size - size, 0)
            every.append(Planned(manifest, archive, 0 if status == "fetched" else left))
    chosen = [entry for entry in every if only is None or fnmatchcase(entry.archive.name, only)]
    if every and not chosen:
        names = ", ".join(entry.archive.name for entry in every)
        raise MedDELError(f"no archive is called {only!r}", fix=f"there are {names}")
    return chosen


def dry_run(manifests: Iterable[Manifest], only: str | None = None) -> str:
    """Return a line for each archive that `fetch` would fetch, and the sum of the bytes that are still to come.

    A size with ``~`` is rounded by the page that states it; an archive of unknown size is counted apart.
    """
    planned, lines = plan(manifests, only), []
    for manifest, archive, left in planned:
        size = "unknown size" if left is None else amount(left, archive.approximate)
        way = f"  by hand: {manifest.how}" if _by_hand(manifest, archive) else ""
        lines.append(f"{manifest.name}  {archive.name}  {'there' if left == 0 else size + way}")
    due = [entry for entry in planned if entry.left != 0]
    unknown = sum(entry.left is None for entry in due)
    rounded = any(entry.archive.approximate for entry in due)
    lines.append(f"to fetch: {len(due)} archives, {amount(sum(entry.left or 0 for entry in due), rounded)}")
    return "\n".join(lines) + (f" and {unknown} of unknown size" if unknown else "")


def amount(size: int, approximate: bool = False) -> str:
    """Return bytes as a person reads them, in powers of 1000, with ``~`` before a rounded figure."""
    unit, factor = next(((unit, factor) for unit, factor in _UNITS if size >= factor), ("B", 1))
    return f"{'~' * approximate}{size / factor:.{0 if factor == 1 else 1}f} {unit}"


def fetch(
    manifests: Iterable[Manifest],
    only: str | None = None,
    *,
    source: Path | None = None,
    accept: bool = False,
    ask: Callable[[str], bool] | None = None,
    policy: RetryPolicy = _USUAL,
) -> dict[str, list[Path]]:
    """Fetch the archives of data sets; what is there is left alone, and what broke off goes on.

    What fails doesn't keep the next archive or set from being fetched.

    Parameters
    ----------
    only : str or None
        Pattern of archive names; None for all.
    source : Path or None
        Folder, or file of the one archive that is wanted, to take archives from before a server is asked.
    accept : bool
        The licences are accepted.
    ask : callable or None
        Shows a licence's terms and returns whether the person accepts them; None where nobody can be asked.

    Returns
    -------
    dict of str to list of Path
        The archives of each set.
    """
    wanted: dict[str, tuple[Manifest, list[Planned]]] = {one.name: (one, []) for one in manifests}
    planned = plan([one for one, _ in wanted.values()], only)
    for entry in planned:
        wanted[entry.manifest.name][1].append(entry)
    if source is not None and source.is_file() and len(planned) > 1:
        names = ", ".join(entry.archive.name for entry in planned)
        raise MedDELError("one file can't be all the archives", source, f"name one by --only, of {names}")
    cache.claim()
    failures: dict[str, MedDELError] = {}
    for name, (manifest, entries) in wanted.items():
        with _noting(failures, name):
            if not manifest.archives:
                raise MedDELError(f"{name} has nothing to fetch", manifest.landing, manifest.how)
            require_licence(manifest, ask, accept)
            if entries:
                with cache.lock(name):
                    _fetch_set(manifest, entries, source, policy)
    _raise_all("sets were not fetched", len(wanted), failures)
    return {
        name: [cache.archive_path(name, entry.archive) for entry in entries] for name, (_, entries) in wanted.items()
    }


def terms(manifest: Manifest) -> str:
    """Return what a person has to know before fetching a set, in a few lines."""
    uses = ", ".join(f"{use} {permission}" for use, permission in manifest.uses.items())
    return f"{manifest.title}\nlicence: {manifest.licence}\nuse: {uses}\n{manifest.how}\nfrom: {manifest.landing}"


def is_accepted(manifest: Manifest) -> bool:
    """Check whether the licence that the manifest states was accepted before."""
    return cache.records(ACCEPTED).get(manifest.name, {}).get("licence") == manifest.licence


def require_licence(manifest: Manifest, ask: Callable[[str], bool] | None, accept: bool) -> None:
    """Have the licence of a set accepted unless it was before; a changed licence is asked about again."""
    if is_accepted(manifest):
        return
    if not accept:
        if ask is None:
            what = f"the licence of {manifest.name} is not accepted yet: {manifest.licence}"
            raise MedDELError(what, manifest.landing, "read it and pass --accept")
        if not ask(terms(manifest)):
            raise MedDELError(f"the licence of {manifest.name} was not accepted", fix="nothing was fetched")
    date = datetime.now(UTC).date().isoformat()
    cache.record(ACCEPTED, manifest.name, {"licence": manifest.licence, "date": date})


def _fetch_set(manifest: Manifest, entries: list[Planned], source: Path | None, policy: RetryPolicy) -> None:
    """Fetch archives of one set, whose lock the caller holds."""
    name, missing, by_hand = manifest.name, [], []
    failures: dict[str, MedDELError] = {}
    for _, archive, left in entries:
        path = cache.archive_path(name, archive)
        with _noting(failures, archive.name):
            if path.is_file() and not verify.verified(name, archive):
                verify.verify(name, archive, path)
            if path.is_file() or (source is not None and import_archive(name, archive, source)):
                discard(cache.part_path(name, archive))
            elif _by_hand(manifest, archive):
                by_hand.append(archive.name)
            else:
                missing.append((archive, left))
    if by_hand:
        folder, names = cache.archives(name), ", ".join(by_hand)
        with cache.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        what = f"{name} can't be fetched without a person: {manifest.how.rstrip('.')}"
        failures[names] = MedDELError(what, manifest.landing, f"then put {names} into {folder} and call again")
    cache.need(sum(left or 0 for _, left in missing), cache.archives(name))
    for archive, _ in missing:
        with _noting(failures, archive.name):
            _download(manifest, archive, policy)
    _raise_all("archives are missing", len(entries), failures)


def _by_hand(manifest: Manifest, archive: Archive) -> bool:
    """Check whether only a person can get an archive."""
    return manifest.access != "open" or not archive.urls


def import_archive(name: str, archive: Archive, source: Path) -> bool:
    """Take an archive that a person got into the cache, as a hard link or a copy; return False if it isn't there.

    `source` is its file, or a folder with it or with a folder of the set's name. The caller holds the set's lock.
    """
    source = source.expanduser()
    if not source.exists():
        raise MedDELError("no such file or folder", source, "give the folder that holds the archives")
    places = [source] if source.is_file() else [source / archive.name, source / name / archive.name]
    given = next((place for place in places if place.is_file()), None)
    if given is None:
        return False
    path = cache.archive_path(name, archive)
    verify.verify(name, archive, given)
    with cache.writing(path):
        artefacts.link_or_copy(given, path)
    return True


def _download(manifest: Manifest, archive: Archive, policy: RetryPolicy) -> None:
    """Download an archive from the first of its mirrors that gives it with the right hash."""
    path, part = cache.archive_path(manifest.name, archive), cache.part_path(manifest.name, archive)
    failures = []
    for url in archive.urls:
        try:
            _from_mirror(manifest.name, archive, url, policy)
        except DownloadError as error:
            failures.append(f"{url}: {error}")
        else:
            with cache.writing(path):
                os.replace(part, path)
            discard(part)
            return
    later = "call again to go on from there" if part.exists() else "try again later"
    by_hand = f"{later}, or fetch it in a browser from {manifest.landing} and put it into {path.parent}"
    raise MedDELError(f"can't fetch {archive.name}: {'; '.join(failures)}", fix=by_hand)


def _from_mirror(name: str, archive: Archive, url: str, policy: RetryPolicy) -> None:
    """Download an archive from one mirror to its part and verify it."""
    part, verified = cache.part_path(name, archive), verify.known_hash(name, archive) is not None
    while True:
        resumed = part.exists()
        download(url, part, policy, size=None if archive.approximate else archive.size, verified=verified)
        try:
            return verify.verify(name, archive, part, url)
        except verify.WrongFile as error:
            discard(part)
            # The start may have come from elsewhere: only a file that came whole from here speaks against the URL.
            if not resumed:
                raise DownloadError(error.what) from error


@contextmanager
def _noting(failures: dict[str, MedDELError], name: str) -> Iterator[None]:
    """Note a failure of the block, so that it doesn't keep the next from being fetched."""
    try:
        yield
    except MedDELError as error:
        failures[name] = error


def _raise_all(what: str, of: int, failures: dict[str, MedDELError]) -> None:
    """Raise what failed as one error, if anything did."""
    if len(failures) == 1:
        raise next(iter(failures.values()))
    if failures:
        reasons = "; ".join(f"{name}: {error}" for name, error in failures.items())
        raise MedDELError(f"{len(failures)} of {of} {what}: {reasons}")


def verify_set(manifest: Manifest) -> list[Path]:
    """Read every archive of a set that is in the cache to its end and return those; refuse other hashes."""
    failures: dict[str, MedDELError] = {}
    there = [archive for archive, status, _ in cache.cached(manifest) if status == "fetched"]
    if not there:
        raise MedDELError(f"no archive of {manifest.name} is there", cache.archives(manifest.name), "fetch it first")
    paths = [cache.archive_path(manifest.name, archive) for archive in there]
    with cache.lock(manifest.name):
        for archive, path in zip(there, paths, strict=True):
            with _noting(failures, archive.name):
                verify.verify(manifest.name, archive, path)
    _raise_all("archives are not what they were", len(there), failures)
    return paths
