"""``store.json``, which says what a store holds: read, and told from what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from meddel.errors import MedDELError

SHARD_ROWS = 32768
FILE = "store.json"
FORM = 2
_KEYS = {"form", "key", "dim", "dtype", "encoder", "rows", "shards"}
_ENTRY = {"file", "rows", "bytes", "sha256", "index_file", "index_bytes", "index_sha256", "content"}


def names(number: int) -> tuple[str, str]:
    """Return the names of a shard's two files: its embeddings and its index rows."""
    return f"shard-{number:05d}.npy", f"shard-{number:05d}.parquet"


def read(folder: Path) -> dict[str, Any] | None:
    """Return what ``store.json`` says; None if there is none, it can't be read, or it is of another form."""
    path = folder / FILE
    try:
        manifest = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(manifest, dict) or not manifest.keys() >= _KEYS or manifest["form"] != FORM:
        return None
    return manifest if _sound(manifest) else None


def finished(folder: Path) -> dict[str, Any]:
    """Return what the ``store.json`` of a finished store says.

    Raises
    ------
    MedDELError
        No store in this folder, or an unfinished one.
    """
    manifest = read(folder)
    if manifest is None:
        raise MedDELError("no store in this folder", folder, "write one with meddel embed IMAGES --out STORE")
    done = sum(entry["rows"] for entry in manifest["shards"])
    if done != manifest["rows"]:
        raise MedDELError(
            f"the store is unfinished, {done} of {manifest['rows']} images", folder, "call meddel embed again"
        )
    return manifest


def _sound(manifest: dict[str, Any]) -> bool:
    """Tell whether the numbers are numbers and the shards' files have the names that their place gives them."""
    numbers = [manifest["form"], manifest["dim"], manifest["rows"]]
    if not isinstance(manifest["shards"], list):
        return False
    for number, entry in enumerate(manifest["shards"]):
        if not isinstance(entry, dict) or not entry.keys() >= _ENTRY:
            return False
        if (entry["file"], entry["index_file"]) != names(number):
            return False
        numbers += [entry["rows"], entry["bytes"], entry["index_bytes"]]
    return all(isinstance(value, int) and value > 0 for value in numbers)
