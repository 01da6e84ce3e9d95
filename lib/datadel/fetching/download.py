"""Download one archive into the cache: from the first of its mirrors that gives it, and only with the right hash.

pooch checks the hash and gives the file its final name; `datadel.fetching.transfer` brings the bytes.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import pooch

from datadel import cache
from datadel.fetching import content, transfer, trust
from datadel.fetching.transfer import USUAL, Failed, Patience, Wanted
from datadel.manifest import Archive, Manifest
from meddel.errors import MedDELError


def download(manifest: Manifest, archive: Archive, patience: Patience = USUAL) -> Path:
    """Fetch an archive under its final name, going on from what an earlier call left.

    The caller holds `cache.lock` of the set.

    Parameters
    ----------
    manifest : Manifest
        The set.
    archive : Archive
        One of its archives, with at least one URL.
    patience : Patience
        How long to wait for a server, and how often to try again.

    Returns
    -------
    Path
        The archive, whole and with the right hash.

    Raises
    ------
    MedDELError
        No mirror gave it, each with its reason; or it can't be written.
    """
    path = cache.archive_path(manifest.name, archive)
    pooch.get_logger().setLevel(logging.WARNING)
    known = trust.known_hash(manifest.name, archive)
    failures, fix = [], None
    _tidy(path.parent)
    for number, url in enumerate(archive.urls, 1):
        try:
            _retrieve(manifest.name, archive, url, known, patience, stubborn=number == len(archive.urls))
        except _WrongHash as wrong:
            failures.append(f"{url}: {trust.mismatch(manifest.name, archive, str(wrong))}")
            fix = trust.way_to_accept(manifest.name, archive)
        except Failed as failed:
            failures.append(f"{url}: {failed}")
        else:
            found = known or trust.check(manifest.name, archive, path)
            trust.record(manifest.name, archive, found, path.stat().st_size, url)
            return path
    later = "call again to go on from there" if cache.part_path(manifest.name, archive).exists() else "try again later"
    by_hand = f"{later}, or fetch it in a browser from {manifest.landing} and put it into {path.parent}"
    raise MedDELError(f"can't fetch {archive.name}: {'; '.join(failures)}", fix=fix or by_hand)


class _WrongHash(Exception):
    """The file came, and its hash, which this holds as ``algorithm:digits``, is not the known one."""


def _retrieve(name: str, archive: Archive, url: str, known: str | None, patience: Patience, *, stubborn: bool) -> None:
    """Bring the archive from one URL."""
    path, part = cache.archive_path(name, archive), cache.part_path(name, archive)
    size = None if archive.approximate else archive.size
    wanted = Wanted(archive.name, url, size, vouched=known is not None)

    def bring(_url: str, output: str, _pooch: object) -> None:
        transfer.bring(wanted, part, patience, stubborn=stubborn)
        problem = content.problem(part, archive)
        if problem is not None:
            transfer.discard(part)
            raise Failed(f"it {problem}", "refused")
        _hand_over(part, Path(output))

    resumed = part.exists()
    while True:
        try:
            pooch.retrieve(url, known, fname=path.name, path=path.parent, downloader=bring)
        except ValueError as error:
            transfer.discard(part)
            # The start may have come from elsewhere: only a file that came whole from here speaks against the URL.
            if not resumed:
                digits = re.search(r"but got (?:\w+:)?(\w+)", str(error))
                raise _WrongHash(f"{(known or '').partition(':')[0]}:{digits[1] if digits else '?'}") from None
            resumed = False
        except OSError as error:
            raise cache.unwritable(path, error) from error
        else:
            transfer.discard(part)
            return


def _hand_over(part: Path, output: Path) -> None:
    """Give the part its second name: the first stays until the hash is checked, lest an interrupt lose the file."""
    output.unlink()
    try:
        os.link(part, output)
    except OSError:
        os.replace(part, output)


def _tidy(folder: Path) -> None:
    """Remove what pooch had no time to remove when its process was killed: second names of parts, and empty files."""
    for path in folder.glob("tmp????????"):
        if path.is_file() and (path.stat().st_size == 0 or path.stat().st_nlink > 1):
            path.unlink()
