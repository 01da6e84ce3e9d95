"""Spoilt stores, indices and files to import give the right rows or a MedDELError, and nothing in between."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st
from safetensors.numpy import save

from meddel import artefacts
from meddel.errors import MedDELError
from meddel.images import index
from meddel.store import Store, import_from, write
from tests.fuzz.mutations import mutated, mutated_text

N, DIM = 7, 3
X = np.random.default_rng(0).standard_normal((N, DIM)).astype(np.float32)
ROWS = index.from_rows({"id": f"s/{i}", "path": f"/s/{i}.png", "source": "s", "sha256": "0"} for i in range(N))


@pytest.fixture
def whole(tmp_path: Path) -> Store:
    """A store of two shards."""
    return write(tmp_path / "whole", X, ROWS, encoder={"name": "mine"}, shard_rows=4)


def read(store: Store) -> None:
    """Read a store in every way, and find that its parts agree."""
    matrix = np.asarray(store.embeddings)
    assert matrix.shape == (N, DIM) and matrix.dtype == np.float16
    np.testing.assert_array_equal(store.take(np.arange(N)[::-1]).view(np.uint16), matrix[::-1].view(np.uint16))
    assert store.ids().to_pylist() == store.index["id"].to_pylist()
    assert store.index.num_rows == N


@pytest.mark.parametrize("name", ["shard-00001.npy", "shard-00001.parquet"])
@pytest.mark.parametrize("sums", ["kept", "forged"])
def test_shards(fuzz: Callable, whole: Store, name: str, sums: str) -> None:
    path, said = whole.folder / name, (whole.folder / "store.json").read_text()
    kind = "" if name.endswith(".npy") else "index_"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        if sums == "forged":
            manifest = json.loads(said)
            manifest["shards"][1] |= {f"{kind}bytes": len(content), f"{kind}sha256": artefacts.hash_of_file(path)}
            (whole.folder / "store.json").write_text(json.dumps(manifest))
        with suppress(MedDELError):
            store = Store.open(whole.folder)
            if sums == "kept":
                assert store.index.equals(ROWS)
                np.testing.assert_array_equal(store.embeddings, X.astype(np.float16))
            read(store)

    fuzz(f"{path.suffix} of a store, sums {sums}", check, mutated(path.read_bytes()))


@pytest.mark.parametrize("verify", [True, False])
def test_manifests_of_stores(fuzz: Callable, whole: Store, verify: bool) -> None:
    path = whole.folder / "store.json"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(MedDELError):
            store = Store.open(whole.folder, verify=verify)
            read(store)
            np.testing.assert_array_equal(store.embeddings, X.astype(np.float16))
            assert isinstance(store.hash, str)

    fuzz("store.json", check, mutated_text(json.loads(path.read_text())), [b"[" * 100_000, b"1" * 5000])


def test_a_begun_store_goes_on_whatever_was_left(fuzz: Callable, whole: Store, tmp_path: Path) -> None:
    names = sorted(path.name for path in whole.folder.iterdir())
    good = {name: (whole.folder / name).read_bytes() for name in names}

    def check(case: tuple[str, bytes]) -> None:
        name, content = case
        shutil.rmtree(tmp_path / "begun", ignore_errors=True)
        shutil.copytree(whole.folder, tmp_path / "begun")
        (tmp_path / "begun" / name).write_bytes(content)
        write(tmp_path / "begun", X, ROWS, encoder={"name": "mine"}, shard_rows=4)
        assert {path.name: path.read_bytes() for path in (tmp_path / "begun").iterdir()} == good

    spoilt = st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), mutated(good[name])))
    fuzz("begun store", check, spoilt)


def test_indices(fuzz: Callable, tmp_path: Path) -> None:
    path = tmp_path / "index.parquet"
    index.write_index(path, ROWS)

    def check(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(MedDELError):
            table = index.read_index(path, tmp_path)
            assert table.schema.equals(index.INDEX_SCHEMA)
            assert len(table.to_pylist()) == table.num_rows

    fuzz("index.parquet", check, mutated(path.read_bytes()))


def written(save_to: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    save_to(stream)
    return stream.getvalue()


TABLE = pa.table({"id": [f"{i}" for i in range(N)], "x": list(X)})
FILES = {
    ".npy": written(lambda stream: np.save(stream, X)),
    ".npz": written(lambda stream: np.savez(stream, x=X)),
    ".packed.npz": written(lambda stream: np.savez_compressed(stream, x=X)),
    ".safetensors": save({"x": X}),
    ".parquet": written(lambda stream: pq.write_table(TABLE, stream)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FILES)
def test_imports(fuzz: Callable, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x{kind}"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        with suppress(MedDELError):
            store = import_from(path, tmp_path / "store", shard_rows=3)
            assert store.rows == len(store.embeddings) == store.index.num_rows
            assert np.isfinite(store.embeddings).all()

    fuzz(f"import of {kind}", check, mutated(FILES[kind]))
