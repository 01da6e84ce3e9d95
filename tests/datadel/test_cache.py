"""Where data sets lie in the cache, and what is deleted there and what never."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from datadel import cache
from datadel.manifest import Manifest
from meddel.errors import MedDELError


def test_a_removed_set_frees_its_bytes_and_can_come_again(
    manifest: Manifest, data_root: Path, tmp_path: Path, take: Callable, there: Callable, content: bytes
) -> None:
    (tmp_path / "a.rar").write_bytes(content)
    take(manifest, source=tmp_path)
    cache.prepared("set").mkdir(parents=True)
    (cache.prepared("set") / "index").write_bytes(bytes(1000))
    assert cache.remove("set") == len(content) + 1000, "a.rar has a second name, which keeps its bytes"
    assert not (data_root / "set").exists() and (tmp_path / "a.rar").read_bytes() == content
    assert cache.remove("set") == 0
    take(manifest)
    assert there("set") == ["a.rar", "b.rar"]


def test_nothing_is_deleted_where_meddel_keeps_no_data(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, take: Callable
) -> None:
    (tmp_path / "home" / "set" / "archives").mkdir(parents=True)
    (tmp_path / "home" / "set" / "thesis.tex").write_text("mine")
    monkeypatch.setenv("MEDDEL_DATA", str(tmp_path / "home"))
    with pytest.raises(MedDELError, match="meddel keeps no data sets here"):
        cache.remove("set")
    with pytest.raises(MedDELError, match=r"holds other things .*home/set.*; set MEDDEL_DATA to a new"):
        take(manifest)
    assert (tmp_path / "home" / "set" / "archives").is_dir()


def test_a_file_in_the_way_of_the_cache_is_one_line(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, take: Callable
) -> None:
    (tmp_path / "file").write_text("mine")
    for root in (tmp_path / "file", tmp_path / "file" / "data"):
        monkeypatch.setenv("MEDDEL_DATA", str(root))
        with pytest.raises(MedDELError, match=r"can't write: .*; free some space or set MEDDEL_DATA"):
            take(manifest)
    assert (tmp_path / "file").read_text() == "mine"


def test_links_that_lead_out_of_the_cache_are_not_followed(
    manifest: Manifest, tmp_path: Path, take: Callable, there: Callable
) -> None:
    take(manifest)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").write_text("mine")
    cache.prepared("set").parent.mkdir()
    cache.prepared("set").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MedDELError, match=f"a link to {tmp_path / 'elsewhere'}"):
        cache.remove("set")
    assert (tmp_path / "elsewhere" / "mine").exists() and there("set") == ["a.rar", "b.rar"]


def test_the_cache_is_in_the_systems_place_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDDEL_DATA", raising=False)
    assert cache.root().name == "meddel" and cache.root().is_absolute()
    assert cache.prepared("set") == cache.root() / "prepared" / "set"
