"""A store comes back as it was written, goes on where it was cut off, and refuses what is broken."""

from __future__ import annotations

import json

import numpy as np
import pytest

from meddel.errors import MedDELError
from meddel.images import index
from meddel.store import Store, StoreWriter, write

N, DIM = 10, 6


def rows(n: int = N):
    return index.from_rows(
        {"id": f"set/{i:02d}", "path": f"/x/{i}.jpg", "source": "set", "width": 1, "height": 1, "sha256": str(i)}
        for i in range(n)
    )


def values(n: int = N) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, DIM)).astype(np.float32)


def writer(folder, embedder: str = "a", n: int = N) -> StoreWriter:
    return StoreWriter(folder, rows(n), DIM, encoder={"name": embedder}, shard_rows=4)


def fill(begun: StoreWriter) -> None:
    while begun.next_rows:
        begun.append(values()[begun.next_rows.start : begun.next_rows.stop])


def test_what_is_written_comes_back(tmp_path):
    fill(writer(tmp_path))
    store = Store.open(tmp_path)
    assert store.embeddings.dtype == np.float16
    np.testing.assert_array_equal(store.embeddings, values().astype(np.float16))
    assert store.index.equals(rows())
    assert store.encoder == {"name": "a"}
    assert [shard["rows"] for shard in store.manifest["shards"]] == [4, 4, 2]
    assert (store.manifest["dim"], store.manifest["dtype"], store.manifest["rows"]) == (DIM, "float16", N)


def test_embeddings_made_elsewhere_are_one_memory_map(tmp_path):
    store = write(tmp_path, values(), rows(), encoder={"name": "mine"})
    assert isinstance(store.embeddings, np.memmap)
    assert store.encoder["name"] == "mine"
    changed = write(tmp_path, values() + 1, rows(), encoder={"name": "mine"})
    np.testing.assert_array_equal(changed.embeddings, (values() + 1).astype(np.float16))
    assert changed.hash != store.hash


def test_equal_stores_have_equal_bytes(tmp_path):
    for name in "ab":
        fill(writer(tmp_path / name))
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    shards = [f"shard-0000{i}.{kind}" for i in range(3) for kind in ("npy", "parquet")]
    assert names == [*shards, "store.json"]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    assert Store.open(tmp_path / "a").hash == Store.open(tmp_path / "b").hash


def test_begun_work_goes_on_behind_the_last_whole_shard(tmp_path):
    begun = writer(tmp_path)
    begun.append(values()[:4])
    begun.append(values()[4:8])
    with pytest.raises(MedDELError, match="unfinished, 8 of 10"):
        Store.open(tmp_path)
    assert writer(tmp_path).next_rows == range(8, 10)
    (tmp_path / "shard-00001.npy").write_bytes(b"cut off")
    again = writer(tmp_path)
    assert again.next_rows == range(4, 8)
    fill(again)
    np.testing.assert_array_equal(Store.open(tmp_path).embeddings, values().astype(np.float16))


def test_other_work_starts_anew(tmp_path):
    fill(writer(tmp_path))
    assert writer(tmp_path, embedder="b").done == 0
    assert not list(tmp_path.glob("shard-*"))
    fill(writer(tmp_path))
    assert writer(tmp_path, n=8).done == 0


def test_index_rows_that_were_damaged_are_written_again_and_the_embeddings_stay(tmp_path):
    fill(writer(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "shard-00001.parquet").write_bytes(b"cut off")
    assert not writer(tmp_path).next_rows
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_images_that_moved_are_the_same_work(tmp_path):
    fill(writer(tmp_path))
    moved = rows().to_pylist()
    moved = index.from_rows({**row, "path": row["path"].replace("/x/", "/y/")} for row in moved)
    again = StoreWriter(tmp_path, moved, DIM, encoder={"name": "a"}, shard_rows=4)
    assert not again.next_rows
    assert Store.open(tmp_path).index["path"][0].as_py() == "/y/0.jpg"


@pytest.mark.parametrize("content", [None, "", "[]", json.dumps({"shards": []})])
def test_a_folder_without_a_store_says_how_to_make_one(tmp_path, content):
    if content is not None:
        (tmp_path / "store.json").write_text(content)
    with pytest.raises(MedDELError, match=r"no store in this folder.*meddel embed"):
        Store.open(tmp_path)


@pytest.mark.parametrize(
    ("value", "problem"),
    [(np.nan, "holds NaN or infinity"), (np.inf, "holds NaN or infinity"), (1e6, "holds NaN or infinity")],
    ids=["NaN", "infinite", "too large for float16"],
)
def test_a_value_that_is_no_number_names_the_image(tmp_path, value, problem):
    begun = writer(tmp_path)
    begun.append(values()[:4])
    bad = values()[4:8]
    bad[2, 3] = value
    with pytest.raises(MedDELError, match=rf"embedding of set/06 {problem} \(/x/6.jpg\)"):
        begun.append(bad)
    assert writer(tmp_path).done == 4


def test_an_embedding_of_length_0_names_the_image(tmp_path):
    bad = values()
    bad[7] = 0
    with pytest.raises(MedDELError, match="embedding of set/07 has length 0"):
        write(tmp_path, bad, rows(), encoder={})


def test_shapes_must_fit(tmp_path):
    with pytest.raises(MedDELError, match=r"shape \(3, 6\), expected \(4, 6\)"):
        writer(tmp_path).append(values()[:3])
    with pytest.raises(MedDELError, match="for 10 rows"):
        write(tmp_path, values(8), rows(), encoder={})
    with pytest.raises(MedDELError, match="without rows"):
        writer(tmp_path, n=0)
    with pytest.raises(MedDELError, match=r"with 3 index rows"):
        writer(tmp_path).append_rows(values()[:4], rows().slice(0, 3))


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MedDELError, match="can't write"):
        writer(tmp_path / "file" / "store")
