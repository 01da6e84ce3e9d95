"""`meddel import`: embeddings in anybody's file, and then a selection from them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from meddel.images import index
from meddel.store import Store

N, DIM = 30, 6
X = np.random.default_rng(0).standard_normal((N, DIM)).astype(np.float32)


WAYS: dict[str, Callable[[Path], object]] = {
    "x.npy": lambda path: np.save(path, X),
    "x.npz": lambda path: np.savez(path, X),
    "x.safetensors": lambda path: save_file({"x": X}, path),
    "x.parquet": lambda path: pq.write_table(pa.table({"x": list(X)}), path),
}


@pytest.mark.parametrize("name", WAYS)
def test_import_then_select_gives_the_rows_to_keep(meddel: Callable, tmp_path: Path, name: str) -> None:
    WAYS[name](tmp_path / name)
    store, kept = tmp_path / "store", tmp_path / "kept.csv"
    assert meddel("import", tmp_path / name, "--out", store) == (
        0,
        f"{N} embeddings, {DIM} numbers each: {store}\n",
        "",
    )
    assert meddel("select", store, "--ratio", 0.2, "--k", 2, "--out", kept).code == 0
    with kept.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6 and {row["path"] for row in rows} == {str(tmp_path / name)}
    assert {row["id"] for row in rows} <= {f"x/{i:02d}" for i in range(N)}


def test_an_index_names_the_images(meddel: Callable, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=X, b=2 * X)
    table = index.from_rows({"id": f"p/{i:02d}", "path": f"/p/{i}.png", "source": "p"} for i in range(N))
    index.write_index(tmp_path / "index.parquet", table)
    given = ("import", tmp_path / "x.npz", "--out", tmp_path / "store", "--index", tmp_path / "index.parquet")
    code, _, err = meddel(*given)
    assert code == 1 and "it holds several arrays, a, b" in err
    assert meddel(*given, "--array", "b", "--model", "mine").code == 0
    store = Store.open(tmp_path / "store")
    assert store.index.equals(table) and store.encoder["name"] == "mine"
    np.testing.assert_array_equal(store.embeddings, (2 * X).astype(np.float16))


def test_what_can_not_be_imported_is_said_in_one_line(meddel: Callable, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(b"no array")
    code, out, err = meddel("import", tmp_path / "x.npy", "--out", tmp_path / "store")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("meddel: can't be read: ") and not (tmp_path / "store").exists()


def test_a_limit_on_memory_selects_from_the_disk_whatever_it_is(meddel: Callable, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((900, 12)))
    assert meddel("import", tmp_path / "x.npy", "--out", tmp_path / "store")[0] == 0
    kept = []
    for name, limit in (("a", 0.2), ("b", 0.05)):
        out = tmp_path / f"{name}.csv"
        code, said, err = meddel(
            "select", tmp_path / "store", "--ratio", 0.1, "--k", 6, "--out", out, "--memory-limit", limit
        )
        assert code == 0, err
        assert "kept 90 of 900" in said
        kept.append(out.read_bytes())
        assert (tmp_path / f"{name}_stages" / "selection.parquet").is_file()
    assert kept[0] == kept[1] and kept[0].count(b"\n") == 91
    refused = ("select", tmp_path / "store", "--ratio", 0.1, "--out", tmp_path / "c.csv", "--memory-limit")
    code, _, err = meddel(*refused, 0.001)
    assert code == 1 and "1 MB of memory for 900 rows" in err
    code, _, err = meddel(*refused, 1, "--selector", "random")
    assert code == 1 and "random needs all embeddings in memory" in err
    assert not (tmp_path / "c.csv").exists()
