"""Archives that a person got by hand, behind a form or elsewhere."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datadel import cache
from datadel.fetching import fetch
from datadel.manifest import Manifest
from meddel.errors import MedDELError


@pytest.fixture
def behind_a_form(data_root: Path, made_up_manifest: Callable) -> Manifest:
    """A set of two archives that only a person can get."""
    landing = "https://example.org/kept"
    archives = [{"name": name, "contentUrl": landing, "contentSize": "400000 B"} for name in ("a.rar", "b.rar")]
    return made_up_manifest("kept", archives, "form")


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on another disk than the cache's."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second disk: /dev/shm is missing, or holds the temporary files")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def test_what_only_a_person_can_get_says_what_to_do(
    server: Any, behind_a_form: Manifest, take: Callable, content: bytes
) -> None:
    with pytest.raises(MedDELError) as error:
        take(behind_a_form)
    folder = cache.archives("kept")
    for text in (behind_a_form.how.rstrip("."), behind_a_form.landing, f"put a.rar, b.rar into {folder}"):
        assert text in str(error.value)
    assert behind_a_form.how in fetch.dry_run([behind_a_form])
    (folder / "a.rar").write_bytes(content)
    with pytest.raises(MedDELError, match=f"put b.rar into {folder}"):
        take(behind_a_form)
    (folder / "b.rar").write_bytes(content[:-1])
    with pytest.raises(MedDELError, match=r"b.rar has 399999 bytes where 400000 are stated .* replace it"):
        take(behind_a_form)
    (folder / "b.rar").write_bytes(content)
    assert take(behind_a_form) == {"kept": [folder / "a.rar", folder / "b.rar"]}
    assert server.asked == []


@pytest.mark.parametrize("place", ["beside the cache", "on another disk"])
def test_archives_are_taken_from_where_the_browser_put_them(
    behind_a_form: Manifest,
    tmp_path: Path,
    other_disk: Path,
    place: str,
    take: Callable,
    there: Callable,
    content: bytes,
) -> None:
    linked = place == "beside the cache"
    downloads = (tmp_path if linked else other_disk) / "Downloads"
    (downloads / "kept").mkdir(parents=True)
    (downloads / "a.rar").write_bytes(content)
    (downloads / "kept" / "b.rar").write_bytes(content)
    for path in take(behind_a_form, source=downloads)["kept"]:
        assert path.read_bytes() == content and path.stat().st_nlink == 1 + linked
    assert there("kept") == ["a.rar", "b.rar"]


def test_one_archive_may_have_any_name_where_it_comes_from(
    behind_a_form: Manifest, tmp_path: Path, take: Callable, there: Callable, content: bytes
) -> None:
    given = tmp_path / "a (1).rar"
    given.write_bytes(b"<html>Sorry</html>")
    with pytest.raises(MedDELError, match=r"name of none of the archives .* a.rar, b.rar"):
        take(behind_a_form, source=given)
    with pytest.raises(MedDELError, match=r"a.rar is a web page and no archive .*a \(1\)"):
        take(behind_a_form, source=given, only="a.rar")
    assert there("kept") == []
    given.write_bytes(content)
    assert take(behind_a_form, source=given, only="a.rar")["kept"][0].read_bytes() == content
    with pytest.raises(MedDELError, match="no such file or folder"):
        take(behind_a_form, source=tmp_path / "none")


def test_a_file_is_taken_only_for_the_archive_whose_name_it_has(
    behind_a_form: Manifest, tmp_path: Path, take: Callable, there: Callable, content: bytes
) -> None:
    (tmp_path / "a.rar").write_bytes(content)
    with pytest.raises(MedDELError, match=r"then put b\.rar into"):
        take(behind_a_form, source=tmp_path / "a.rar")
    assert there("kept") == ["a.rar"]


def test_a_source_spares_the_server(
    server: Any, manifest: Manifest, tmp_path: Path, take: Callable, content: bytes
) -> None:
    (tmp_path / "b.rar").write_bytes(content)
    take(manifest, source=tmp_path)
    assert [asked.path for asked in server.asked] == ["/a.rar"]
