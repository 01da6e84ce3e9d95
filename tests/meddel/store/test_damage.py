"""A store that is damaged is found out when it is opened, its file is named, and nothing is computed from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from meddel.errors import MedDELError
from meddel.images import index
from meddel.scale import select
from meddel.store import Store, write

N, DIM = 40, 6
SHARD = "shard-00001.npy"


def stored(folder: Path, model: str = "a") -> Store:
    """A store of three shards."""
    rows = index.from_rows({"id": f"{i:02d}", "path": f"{i}.jpg", "source": "set", "sha256": "0"} for i in range(N))
    seed = len(model)
    values = np.random.default_rng(seed).standard_normal((N, DIM))
    return write(folder, values, rows, encoder={"name": model}, shard_rows=16)


def flip(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-40 if name.endswith(".npy") else 24] ^= 4  # among the values, not in header or footer
    (folder / name).write_bytes(content)


def cut(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])


def change_type(folder: Path, name: str) -> None:
    np.save(folder / name, np.load(folder / name).astype(np.float32))


def change_shape(folder: Path, name: str) -> None:
    np.save(folder / name, np.load(folder / name).reshape(DIM, 16))


def replace(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"no array at all")


def swap(folder: Path, name: str) -> None:
    """Put both files of the shard of another model in its place."""
    other = stored(folder.with_name("other"), "another model").folder
    for suffix in (".npy", ".parquet"):
        shutil.copy(other / Path(name).with_suffix(suffix), folder)


CHEAP: dict[str, tuple[Callable[[Path, str], None], str, str]] = {
    "missing": (lambda folder, name: (folder / name).unlink(), SHARD, "it is gone"),
    "missing rows": (lambda folder, name: (folder / name).unlink(), "shard-00001.parquet", "it is gone"),
    "cut short": (cut, SHARD, "of 320 bytes"),
    "cut rows": (cut, "shard-00001.parquet", "bytes"),
    "another type": (change_type, SHARD, "of 320 bytes"),
    "another shape": (change_shape, SHARD, r"shape \(6, 16\)"),
    "no array": (replace, SHARD, "of 320 bytes"),
    "another model": (swap, SHARD, "another store or model|bytes"),
}


@pytest.mark.fault("damaged store", "found when it is opened, and named")
@pytest.mark.parametrize("damage", CHEAP)
@pytest.mark.parametrize("verify", [True, False])
def test_damage_that_sizes_and_headers_show_is_named_in_any_case(tmp_path: Path, damage: str, verify: bool) -> None:
    stored(tmp_path / "store")
    do, name, said = CHEAP[damage]
    do(tmp_path / "store", name)
    with pytest.raises(MedDELError, match=rf"a shard is missing or has changed: .*({said}).*shard-00001") as caught:
        Store.open(tmp_path / "store", verify=verify)
    assert "\n" not in str(caught.value)


@pytest.mark.fault("damaged store", "found when it is opened, and named")
@pytest.mark.parametrize("name", [SHARD, "shard-00002.parquet"])
def test_a_flipped_bit_is_found_by_its_checksum(tmp_path: Path, name: str) -> None:
    stored(tmp_path / "store")
    flip(tmp_path / "store", name)
    with pytest.raises(MedDELError, match=rf"its checksum differs .*{name}"):
        Store.open(tmp_path / "store")


@pytest.mark.fault("damaged store", "found when it is opened, and named")
def test_a_shard_that_is_cut_after_it_was_opened_stops_the_selection(tmp_path: Path) -> None:
    store = stored(tmp_path / "store")
    cut(store.folder, "shard-00002.npy")
    with pytest.raises(MedDELError, match=r"cut short.*shard-00002.npy"):
        select(store, tmp_path / "out", k=3, ratio=0.5)
    assert not (tmp_path / "out" / "selection.parquet").exists()


@pytest.mark.fault("damaged store", "found when it is opened, and named")
@pytest.mark.parametrize(("field", "value"), [
    ("form", 1), ("shards", {}), ("rows", "40"), ("dim", -1), ("shards", [{"file": "../../x.npy"}]), ("dim", None),
])  # fmt: skip
def test_a_manifest_that_is_none_is_no_store(tmp_path: Path, field: str, value: object) -> None:
    path = stored(tmp_path).folder / "store.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(MedDELError, match=r"no store in this folder"):
        Store.open(tmp_path)


@pytest.mark.fault("damaged store", "found when it is opened, and named")
@pytest.mark.parametrize("field", ["key", "encoder", "dtype"])
def test_a_manifest_that_lacks_something_is_no_store(tmp_path: Path, field: str) -> None:
    path = stored(tmp_path).folder / "store.json"
    manifest = json.loads(path.read_text())
    manifest["more"] = manifest.pop(field)
    path.write_text(json.dumps(manifest))
    with pytest.raises(MedDELError, match=r"no store in this folder"):
        Store.open(tmp_path)


@pytest.mark.fault("damaged store", "found when it is opened, and named")
def test_a_manifest_that_points_outside_is_no_store(tmp_path: Path) -> None:
    path = stored(tmp_path).folder / "store.json"
    manifest = json.loads(path.read_text())
    manifest["shards"][1]["file"] = f"../{SHARD}"
    path.write_text(json.dumps(manifest))
    with pytest.raises(MedDELError, match=r"no store in this folder"):
        Store.open(tmp_path)


def test_rows_are_read_across_shards_and_taken_in_any_order(tmp_path: Path) -> None:
    store = stored(tmp_path)
    whole = np.array(store.embeddings)
    for start, stop in ((0, N), (3, 5), (10, 40), (15, 33), (39, 40)):
        part = np.empty((stop - start, DIM), np.float16)
        store.read(start, part)
        np.testing.assert_array_equal(part, whole[start:stop])
    rows = np.array([39, 0, 17, 16, 17, 2])
    np.testing.assert_array_equal(store.take(rows), whole[rows])
    assert store.ids().to_pylist() == store.index["id"].to_pylist()
