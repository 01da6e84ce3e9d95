"""The readers under atheris, where it is installed and a long run is asked for by ``--fuzz-examples``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fuzz.test_fuzz_images import KINDS, encoded
from tests.fuzz.test_fuzz_stores import FILES, ROWS

SCRIPT = Path(__file__).with_name("readers_under_atheris.py")


@pytest.mark.parametrize("reader", ["image", "array", "index", "manifest"])
def test_readers(request: pytest.FixtureRequest, survived: Callable, tmp_path: Path, reader: str) -> None:
    runs = request.config.getoption("--fuzz-examples")
    if not runs:
        pytest.skip("a long run: give --fuzz-examples N")
    pytest.importorskip("atheris")
    index = pa.BufferOutputStream()
    pq.write_table(ROWS, index)
    known = {
        "image": [encoded(kind) for kind in KINDS],
        "array": list(FILES.values()),
        "index": [index.getvalue().to_pybytes()],
        "manifest": [b"{}", b'{"name": "x", "recordSet": []}'],
    }
    (tmp_path / "corpus").mkdir()
    for number, content in enumerate(known[reader]):
        (tmp_path / "corpus" / str(number)).write_bytes(content)
    command = [sys.executable, str(SCRIPT), reader, str(tmp_path), str(runs)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    survived("fuzzed input", f"{reader} under atheris", runs)
