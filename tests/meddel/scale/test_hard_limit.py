"""200,000 embeddings of 768 numbers under a hard limit of the system, which what holds them all at once breaks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROWS, WIDTH, CLUSTERS, BLOCK = 200_000, 768, 128, 4096
THREADS = 96 << 20  # stacks and pools of the threads that read and compute
CHILD = """
import json, re, resource, sys
from pathlib import Path
import numpy as np
import meddel_kernels as kernels
from compendium.scaling import generate
from meddel import scale
from meddel.store import Store

work, way, rows, clusters, block, threads = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
small = generate(work / "small", 3000, 16, 0)
scale.select(small, work / way / "first", k=5, ratio=0.1, iterations=2)  # whatever is loaded once is there now
store = Store.open(work / "store", verify=False)
extra = scale.extra_bytes(rows, store.dim, clusters, block, store.ids().nbytes)
held = int(re.search(r"VmData:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (held + extra + threads,) * 2)
try:
    if way == "streamed":
        scale.select(store, work / way, k=clusters, ratio=0.05, iterations=1, memory_limit_bytes=extra)
    else:
        kernels.unit_rows(np.asarray(store.embeddings))
    print(json.dumps({"done": True, "extra": extra}))
except MemoryError:
    print(json.dumps({"done": False, "extra": extra}))
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store, which a process of its own has written."""
    folder = tmp_path_factory.mktemp("limit")
    make = "import sys; from pathlib import Path; from compendium.scaling import generate\n"
    make += f"generate(Path(sys.argv[1]), {ROWS}, {WIDTH}, 0)"
    subprocess.run([sys.executable, "-c", make, str(folder / "store")], check=True)
    return folder


def run(work: Path, way: str) -> dict[str, object]:
    numbers = map(str, (ROWS, CLUSTERS, BLOCK, THREADS))
    done = subprocess.run([sys.executable, "-c", CHILD, str(work), way, *numbers], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_selection_stays_within_what_it_said(work: Path) -> None:
    said = run(work, "streamed")
    assert said["done"]
    assert said["extra"] < ROWS * WIDTH * 2, "less than the embeddings themselves"
    assert (work / "streamed" / "selection.parquet").is_file()


def test_the_limit_is_one(work: Path) -> None:
    assert not run(work, "in memory")["done"]
