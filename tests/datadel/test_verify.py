"""Hashes of first fetches, and the records that hold them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datadel import cache, fetch, verify
from datadel.download import RetryPolicy
from datadel.manifest import Manifest
from meddel.errors import MedDELError

ONCE = RetryPolicy(connect=5, read=5, retries=0)
MANY_RECORDS = """
import sys
from datadel import cache

for number in range(20):
    cache.record("trusted.json", f"{sys.argv[1]}/{number}", {"hash": sys.argv[1]})
"""


def tar_like(text: str) -> bytes:
    """Bytes of no kind that is known by its start."""
    return text.encode() * 100


@pytest.fixture
def manifest(server: Any, data_root: Path, made_up_manifest: Callable) -> Manifest:
    """A set of one archive without a published hash, which the server has."""
    return made_up_manifest("set", [{"name": "a.tar", "contentUrl": server.put("/a.tar", tar_like("first"))}])


def take(manifest: Manifest) -> Path:
    return fetch.fetch([manifest], accept=True, policy=ONCE)[manifest.name][0]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def trusted(root: Path) -> dict[str, Any]:
    return json.loads((root / "trusted.json").read_text())


def test_the_first_fetch_is_remembered_with_hash_size_url_and_date(
    server: Any, manifest: Manifest, data_root: Path
) -> None:
    take(manifest)
    entry = trusted(data_root)["set/a.tar"]
    assert len(entry.pop("date")) == len("2000-01-01")
    assert entry == {"hash": f"sha256:{sha256(tar_like('first'))}", "size": 500, "url": server.address + "/a.tar"}


def test_a_change_names_both_hashes_and_how_to_accept_it(server: Any, manifest: Manifest, data_root: Path) -> None:
    path = take(manifest)
    path.unlink()
    server.put("/a.tar", tar_like("other"))
    with pytest.raises(MedDELError) as error:
        take(manifest)
    for text in (sha256(tar_like("first")), sha256(tar_like("other")), "'set/a.tar'", str(data_root / "trusted.json")):
        assert text in str(error.value)
    assert list(path.parent.iterdir()) == []
    (data_root / "trusted.json").write_text(json.dumps({}))
    assert take(manifest).read_bytes() == tar_like("other")


def test_the_same_file_is_taken_again_without_a_new_date(server: Any, manifest: Manifest, data_root: Path) -> None:
    take(manifest)
    entries = trusted(data_root)
    entries["set/a.tar"]["date"] = "2001-02-03"
    (data_root / "trusted.json").write_text(json.dumps(entries))
    cache.remove("set")
    take(manifest)
    assert trusted(data_root) == entries


def test_verifying_holds_files_to_the_first_fetch(manifest: Manifest) -> None:
    with pytest.raises(MedDELError, match="no archive of set is there"):
        fetch.verify_set(manifest)
    path = take(manifest)
    assert fetch.verify_set(manifest) == [path]
    path.write_bytes(tar_like("FIRST"))
    assert take(manifest) == path, "a fetch reads nothing that it has verified before"
    with pytest.raises(MedDELError) as error:
        fetch.verify_set(manifest)
    assert sha256(tar_like("first")) in str(error.value) and sha256(tar_like("FIRST")) in str(error.value)
    path.write_bytes(tar_like("first")[:-1])
    with pytest.raises(MedDELError, match=r"the hash is .* delete the file and fetch it again"):
        take(manifest)


def test_a_hash_that_is_published_later_counts(server: Any, manifest: Manifest, made_up_manifest: Callable) -> None:
    take(manifest)
    facts = {"name": "a.tar", "contentUrl": server.address + "/a.tar"}
    take(made_up_manifest("set", [{**facts, "sha256": sha256(tar_like("first")).upper()}]))
    take(made_up_manifest("set", [{**facts, "md5": hashlib.md5(tar_like("first")).hexdigest()}]))
    with pytest.raises(MedDELError, match=f"where sha256:{'0' * 64} is published"):
        take(made_up_manifest("set", [{**facts, "sha256": "0" * 64}]))


def test_a_damaged_record_is_one_line(manifest: Manifest, data_root: Path) -> None:
    take(manifest)
    for content in ("{", "[]", '{"set/a.tar": 1}'):
        (data_root / "trusted.json").write_text(content)
        with pytest.raises(MedDELError, match=r"trusted\.json\); mend it, or delete it"):
            verify.known_hash("set", manifest.archives[0])


def test_processes_lose_no_record_of_each_other(data_root: Path) -> None:
    cache.claim()
    started = [subprocess.Popen([sys.executable, "-c", MANY_RECORDS, name]) for name in ("one", "two")]
    assert [process.wait() for process in started] == [0, 0]
    entries = trusted(data_root)
    assert list(entries) == sorted(f"{name}/{number}" for name in ("one", "two") for number in range(20))
