"""Files that the pipeline leaves behind: written whole or not at all, with their provenance beside them.

An artefact ``scores.parquet`` is followed by ``scores.parquet.json``, its *provenance*: version, commit, seed,
parameters, hash of the input data, device and cost (`meddel.resources`). The artefact itself holds nothing that differs
between two equal runs. The provenance is written last: where it exists, the artefact is finished.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from meddel import __version__
from meddel.errors import MedDELError
from meddel.resources import Cost, Meter


class Provenance(Cost):
    """Where an artefact comes from and what it cost. `key` is the hash of what decides its content."""

    key: str
    version: str
    commit: str
    seed: int | None
    parameters: dict[str, Any]
    data_hash: str | None
    device: str
    machine: str


@contextmanager
def atomic_write(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` that takes its name only if the block ends without an error.

    Where the folder can't be written or the disk is full, a `MedDELError` says so and nothing is left half-written.
    """
    # The name is known before the file exists, so that an interrupt at any moment leaves nothing.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, mode.replace("w", "x"), encoding=None if "b" in mode else "utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def unwritable(path: Path, error: OSError) -> MedDELError:
    """Return the error to raise where the system refused to write at `path`."""
    return MedDELError(f"can't write: {error.strerror or error}", path, "free some space or give another --out folder")


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, atomically."""
    with atomic_write(path) as stream:
        stream.write(content)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the disk allows no hard link; atomically."""
    half = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        half.unlink(missing_ok=True)
        try:
            os.link(source.resolve(), half)
        except OSError:
            shutil.copyfile(source, half)
        os.replace(half, target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        half.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, atomically."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, default=str) + "\n")


def write_table(path: Path, table: pa.Table) -> None:
    """Write an Arrow table as Parquet (zstd), atomically."""
    with atomic_write(path) as stream:
        pq.write_table(table, stream, compression="zstd")


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array as ``.npy``, atomically."""
    with atomic_write(path) as stream:
        # NumPy writes to a real file past Python, and does not report when the disk is full at the last bytes.
        np.save(SimpleNamespace(write=stream.write), array, allow_pickle=False)


def hash_of(*parts: Any) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of JSON-like values, arrays and bytes; dictionaries in key order."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).view(np.uint8).data)
        elif isinstance(part, bytes):
            digest.update(part)
        else:
            if isinstance(part, BaseModel):
                part = part.model_dump(mode="json")
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def hash_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_of_listing(folder: Path) -> str:
    """Return a hash of the name, size and time of change of every file below `folder`: no file is read."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hash_of([(str(path), (state := path.stat()).st_size, state.st_mtime_ns) for path in files])


def provenance_path(path: Path) -> Path:
    """Return the path of the provenance that belongs to the artefact at `path`."""
    return path.with_name(path.name + ".json")


def read_provenance(path: Path) -> Provenance | None:
    """Return the provenance of the artefact at `path`, or None if there is none or it can't be read."""
    try:
        return Provenance.model_validate_json(provenance_path(path).read_bytes())
    except (OSError, ValueError):
        return None


def is_finished(path: Path, key: str) -> bool:
    """Return whether the artefact at `path` exists and was made from just what `key` stands for."""
    provenance = read_provenance(path)
    return path.exists() and provenance is not None and provenance.key == key


@contextmanager
def recorded(
    path: Path,
    key: str,
    *,
    parameters: BaseModel | Mapping[str, Any],
    seed: int | None = None,
    data_hash: str | None = None,
    device: str = "cpu",
) -> Iterator[Meter]:
    """Measure a block that writes the artefact at `path`, then write its provenance.

    The old provenance is deleted first: an artefact whose writing was interrupted never counts as finished. A block
    that resumes such work adds the earlier cost to the meter that it is given (`Meter.go_on_from`).
    """
    try:
        provenance_path(path).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    with Meter(device) as meter:
        yield meter
    values = parameters.model_dump(mode="json") if isinstance(parameters, BaseModel) else dict(parameters)
    made = Provenance(
        key=key,
        version=__version__,
        commit=commit(),
        seed=seed,
        parameters=values,
        data_hash=data_hash,
        device=device,
        machine=machine(),
        **meter.cost().model_dump(),
    )
    write_json(provenance_path(path), made.model_dump(mode="json"))


@functools.cache
def machine() -> str:
    """Return the processor's name and its number of usable cores."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores"


@functools.cache
def commit() -> str:
    """Return the commit of the source tree, with ``+changes`` if it was edited, or ``unknown`` outside its git."""
    here = Path(__file__).resolve().parent
    try:
        run = functools.partial(subprocess.run, cwd=here, capture_output=True, text=True, check=True, timeout=10)
        run(["git", "ls-files", "--error-unmatch", Path(__file__).name])  # not the git of a project that uses meddel
        head = run(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
        changed = run(["git", "status", "--porcelain", "--untracked-files=no"]).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{head}+changes" if changed else head
