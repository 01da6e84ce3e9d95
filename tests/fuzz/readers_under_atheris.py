"""The readers under atheris, whose mutations follow the branches that are taken; for long runs.

Run by ``test_atheris.py`` as ``python readers_under_atheris.py READER FOLDER RUNS``. It ends with the first exception
that no reader may raise, and leaves the input that led to it in FOLDER.
"""

from __future__ import annotations

import importlib
import json
import sys
from contextlib import suppress
from pathlib import Path

from datadel import layout, manifest
from meddel import manifests
from meddel.errors import MedDELError
from meddel.images import read as images
from meddel.images.index import read_index
from meddel.store import import_from

atheris = importlib.import_module("atheris")  # no dependency: it is for few systems


def read_image(content: bytes, _: Path) -> None:
    """All readers of images agree."""
    with suppress(*images.UNREADABLE):
        size = images.upright_size(content)
        assert images.read_rgb(content).size == size == images.read_foreground(content).shape[::-1]


def read_array(content: bytes, folder: Path) -> None:
    """A file to import."""
    for suffix in (".npy", ".npz", ".safetensors", ".parquet"):
        path = folder / f"x{suffix}"
        path.write_bytes(content)
        with suppress(MedDELError):
            import_from(path, folder / "store")


def read_rows(content: bytes, folder: Path) -> None:
    """An index."""
    (folder / "index.parquet").write_bytes(content)
    with suppress(MedDELError):
        read_index(folder / "index.parquet", folder)


def read_manifest(content: bytes, folder: Path) -> None:
    """Fields of a set's manifest, laid over a good one."""
    with suppress(ValueError, RecursionError):
        told = json.loads(content)
        if isinstance(told, dict):
            with suppress(MedDELError):
                layout.find(manifest.of_jsonld(manifests.read_json("datadel/kvasir-seg.json") | told), {None: folder})


READERS = {"image": read_image, "array": read_array, "index": read_rows, "manifest": read_manifest}

if __name__ == "__main__":
    reader, folder, runs = READERS[sys.argv[1]], Path(sys.argv[2]), sys.argv[3]
    for module in (images, layout, manifest):
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) == module.__name__ and hasattr(value, "__code__"):
                setattr(module, name, atheris.instrument_func(value))
    options = [f"-runs={runs}", "-max_len=4096", "-rss_limit_mb=3000", "-timeout=60", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *options, str(folder / "corpus")], lambda content: reader(content, folder))
    atheris.Fuzz()
