"""Existing embeddings become a store, whatever file they are in; what is none is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from meddel.errors import MedDELError
from meddel.images import index
from meddel.store import Store, import_from, write

N, DIM = 23, 5
IDS = [f"case-{i:02d}" for i in range(N)]


def values(dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N, DIM)).astype(dtype)


def to_parquet(path: Path, x: np.ndarray, kind: pa.DataType | None = None) -> None:
    lists = pa.array(list(x), kind or pa.list_(pa.float32()))
    pq.write_table(pa.table({"label": [0] * len(x), "id": IDS[: len(x)], "vector": lists}), path, row_group_size=4)


def to_parquet_fixed(path: Path, x: np.ndarray) -> None:
    to_parquet(path, x, pa.list_(pa.float32(), x.shape[1]))


WAYS: dict[str, Callable[[Path, np.ndarray], None]] = {
    "a.npy": np.save,
    "b.npz": lambda path, x: np.savez(path, x),
    "fortran.npz": lambda path, x: np.savez(path, np.asfortranarray(x)),
    "packed.npz": lambda path, x: np.savez_compressed(path, x),
    "c.safetensors": lambda path, x: save_file({"x": x}, path),
    "d.parquet": to_parquet,
    "fixed.parquet": to_parquet_fixed,
}


@pytest.mark.parametrize("name", WAYS)
def test_a_file_becomes_a_store(tmp_path: Path, name: str) -> None:
    WAYS[name](tmp_path / name, values())
    store = import_from(tmp_path / name, tmp_path / "store", model="mine", shard_rows=10)
    np.testing.assert_array_equal(store.embeddings, values().astype(np.float16))
    assert [shard.rows for shard in store.shards] == [10, 10, 3]
    assert store.encoder["name"] == "mine"
    stem = Path(name).stem
    expected = IDS if name.endswith(".parquet") else [f"{stem}/{i:02d}" for i in range(N)]
    assert store.index["id"].to_pylist() == expected
    assert Store.open(store.folder).hash == store.hash


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_widths_of_numbers(tmp_path: Path, dtype: type) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(values(dtype)))
    store = import_from(tmp_path / "x.npy", tmp_path / "store")
    np.testing.assert_array_equal(store.embeddings, values(dtype).astype(np.float16))


def test_bfloat16(tmp_path: Path) -> None:
    tensor = torch.from_numpy(values()).bfloat16()
    save_torch({"x": tensor}, tmp_path / "x.safetensors")
    store = import_from(tmp_path / "x.safetensors", tmp_path / "store")
    np.testing.assert_array_equal(store.embeddings, tensor.to(torch.float16).numpy())


def test_one_of_several_arrays_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=values(), b=2 * values())
    with pytest.raises(MedDELError, match=r"several arrays, a, b .*name one"):
        import_from(tmp_path / "x.npz", tmp_path / "store")
    with pytest.raises(MedDELError, match=r"no array 'c'"):
        import_from(tmp_path / "x.npz", tmp_path / "store", array="c")
    store = import_from(tmp_path / "x.npz", tmp_path / "store", array="b")
    np.testing.assert_array_equal(store.embeddings, (2 * values()).astype(np.float16))


def test_given_index_rows_are_those_of_the_store(tmp_path: Path) -> None:
    rows = index.from_rows({"id": f"set/{i:02d}", "source": "set", "path": f"{i}.png"} for i in range(N))
    np.save(tmp_path / "x.npy", values())
    store = import_from(tmp_path / "x.npy", tmp_path / "store", index=rows, shard_rows=7)
    assert store.index.equals(rows)
    with pytest.raises(MedDELError, match="23 embeddings for 22 index rows"):
        import_from(tmp_path / "x.npy", tmp_path / "store", index=rows.slice(1))


def changed(row: int, value: float) -> np.ndarray:
    x = values()
    x[row] = value
    return x


def object_npy(path: Path) -> None:
    path.write_bytes(pickle.dumps(values()))


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "nan.npy": (lambda path: np.save(path, changed(17, np.nan)), "nan/17 holds NaN"),
    "far.npy": (lambda path: np.save(path, changed(3, 1e6)), "far/03 holds NaN or infinity"),
    "zero.parquet": (lambda path: to_parquet(path, changed(5, 0)), "case-05 has length 0"),
    "whole.npy": (lambda path: np.save(path, np.ones((4, 4), int)), "int64 of shape"),
    "flat.npy": (lambda path: np.save(path, np.ones(9)), "no matrix"),
    "empty.npy": (lambda path: np.save(path, np.ones((0, 9))), "no matrix"),
    "object.npy": (lambda path: np.save(path, np.array([[{}]]), allow_pickle=True), "can't be read"),
    "object.npz": (lambda path: np.savez(path, np.array([[{}]], object)), "can't be read"),
    "pickle.npy": (object_npy, "can't be read"),
    "cut.npz": (lambda path: path.write_bytes(b"PK\3\4"), "can't be read"),
    "cut.safetensors": (lambda path: path.write_bytes(b"\1"), "can't be read"),
    "whole.safetensors": (lambda path: save_file({"x": np.ones((3, 3), np.int8)}, path), "I8 of shape"),
    "ragged.parquet": (lambda path: pq.write_table(pa.table({"v": [[1.0], [1.0, 2.0]]}), path), "one length"),
    "null.parquet": (lambda path: pq.write_table(pa.table({"v": [[1.0], None]}), path), "one length"),
    "no.parquet": (lambda path: pq.write_table(pa.table({"v": [1.0]}), path), "no array of embeddings"),
    "twice.parquet": (
        lambda path: pq.write_table(pa.table({"id": ["a", "a"], "v": [[1.0], [2.0]]}), path), "an id occurs twice"
    ),
    "cut.parquet": (lambda path: path.write_bytes(b"PAR1"), "can't be read"),
    "x.csv": (lambda path: path.write_text("1,2"), "unknown kind"),
    "x.npy": (lambda path: None, "no such file"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_embeddings_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    make, said = BROKEN[name]
    make(tmp_path / name)
    with pytest.raises(MedDELError, match=said) as caught:
        import_from(tmp_path / name, tmp_path / "store", shard_rows=64)
    assert "\n" not in str(caught.value) and (name in str(caught.value) or "holds" in said)
    assert not list(tmp_path.glob("store/shard-*"))


def test_an_import_goes_on_behind_its_last_whole_shard(tmp_path: Path) -> None:
    to_parquet(tmp_path / "x.parquet", values())
    whole = import_from(tmp_path / "x.parquet", tmp_path / "whole", shard_rows=6)
    begun = import_from(tmp_path / "x.parquet", tmp_path / "begun", shard_rows=6)
    kept = begun.shards[1].path.stat().st_mtime_ns
    begun.shards[2].path.write_bytes(b"cut off")
    again = import_from(tmp_path / "x.parquet", tmp_path / "begun", shard_rows=6)
    assert again.shards[1].path.stat().st_mtime_ns == kept
    assert again.hash == whole.hash
    assert import_from(tmp_path / "x.parquet", tmp_path / "begun", shard_rows=7).shards[0].rows == 7


def test_an_import_is_what_writing_the_same_rows_gives(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", values())
    imported = import_from(tmp_path / "x.npy", tmp_path / "a", shard_rows=9)
    written = write(tmp_path / "b", values(), imported.index, encoder={}, shard_rows=9)
    assert written.hash == imported.hash
