"""Kill a stage again and again, let it go on each time, and tell whether the bytes are those of an unbroken run.

Run by ``test_kills.py`` as ``python stages_to_kill.py FOLDER STAGE KILLS SEED``. Each run is a forked child. Every
second one is killed at one of its file operations (as Python's audit events count them), the others after a time, both
drawn at random. Killed runs follow one another in one folder; where a run gets to its end, its files are compared and
the next begins in an empty folder. The result is printed as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from meddel import encoder, index
from meddel.config import EncoderConfig
from meddel.embed import embed
from meddel.out_of_core import Stream, checkpoint, generate, select
from meddel.out_of_core.dedup import dedup
from meddel.out_of_core.kmeans import kmeans
from meddel.out_of_core.sorting import lay_out, sort
from meddel.selectors.ranking import order_within
from meddel.store import import_from, locked

N, D, K, BLOCK = 600, 16, 6, 50
EVENTS = {"open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "os.rmdir"}
PATIENCE = 300  # seconds after which a child hangs

Stage = Callable[[Path], object]


def embedding(work: Path) -> Stage:
    """Embed 23 small pictures in shards of 4."""
    torch.set_num_threads(1)  # threads of OpenMP do not survive a fork
    (work / "photos").mkdir()
    for number in range(23):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(work / "photos" / f"{number:02d}.png")
    table = index.build_index(work / "photos")
    model = encoder.build(EncoderConfig(image_size=16, patch_size=8, width=24, depth=1, heads=2), 0)
    return lambda out: embed(table, out, model=model, batch=2, shard_rows=4)


def importing(work: Path) -> Stage:
    """Import a .npy file in shards of 40 rows."""
    np.save(work / "x.npy", np.random.default_rng(0).standard_normal((N, D)))
    return lambda out: import_from(work / "x.npy", out, shard_rows=40)


def clustering(work: Path) -> Stage:
    """K-means by streaming."""
    stream = Stream(generate(work / "store", N, D, 0, shard_rows=90), BLOCK)

    def run(out: Path) -> None:
        with locked(out):
            kmeans(stream, K, out, "key", seed=0, iterations=12)

    return run


def after_kmeans(work: Path) -> tuple[Stream, tuple]:
    """Return a stream and the layout of its clusters, one of which is larger than a block."""
    stream = Stream(generate(work / "store", N, D, 0, shard_rows=90), BLOCK)
    found = kmeans(stream, K, work, "key", seed=0, iterations=12)
    inside, offsets = order_within(found.labels, found.distances, K, eps=2.0, keep="near", drawn=np.empty(0))
    assert np.diff(offsets).max() > BLOCK
    return stream, lay_out(stream, inside, offsets)


def sorting(work: Path) -> Stage:
    """Bring the rows together by cluster."""
    stream, layout = after_kmeans(work)

    def run(out: Path) -> None:
        with locked(out):
            sort(stream, layout, out / "rows.f16", "key")

    return run


def deduplicating(work: Path) -> Stage:
    """Find the greatest cosines."""
    stream, layout = after_kmeans(work)
    sort(stream, layout, work / "rows.f16", "key")

    def run(out: Path) -> None:
        with locked(out):
            found = dedup(stream, layout, work / "rows.f16", out, "key")
            checkpoint.save(out / "cosines.npz", "key", **found._asdict())

    return run


def selecting(work: Path) -> Stage:
    """All stages, one after the other."""
    store = generate(work / "store", 2000, D, 0, shard_rows=300)
    return lambda out: select(store, out, k=12, ratio=0.3, iterations=6)


STAGES: dict[str, Callable[[Path], Stage]] = {
    "embed": embedding,
    "import": importing,
    "kmeans": clustering,
    "sort": sorting,
    "dedup": deduplicating,
    "select": selecting,
}


def content(folder: Path) -> dict[str, bytes]:
    """All files but the provenance, which tells how long it took."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in files
        if not path.name.endswith(("store.json.json", ".parquet.json"))
    }


def child(run: Stage, out: Path, die_at: int | None, counted: int) -> None:
    """Run the stage, count its file operations into descriptor `counted`, and die at one of them. Never returns."""
    seen = 0

    def hook(event: str, _: tuple) -> None:
        nonlocal seen
        if event in EVENTS:
            seen += 1
            if seen == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    code = 1
    try:
        sys.addaudithook(hook)
        run(out)
        os.write(counted, str(seen).encode())
        code = 0
    finally:
        os._exit(code)


def forked(run: Stage, out: Path, *, die_at: int | None = None, after: float | None = None) -> tuple[int, int]:
    """Run the stage in a child; return how it ended (as ``os.waitstatus_to_exitcode``) and its file operations."""
    reading, writing = os.pipe()
    started = time.monotonic()
    process = os.fork()
    if process == 0:
        child(run, out, die_at, writing)
    os.close(writing)
    while not (ended := os.waitpid(process, os.WNOHANG))[0]:
        passed = time.monotonic() - started
        if passed > (PATIENCE if after is None else after):
            os.kill(process, signal.SIGKILL)
            if after is None:
                raise TimeoutError(f"a child of {out} hangs")
        time.sleep(0.001)
    said = os.read(reading, 99)
    os.close(reading)
    return os.waitstatus_to_exitcode(ended[1]), int(said or b"0")


def main(work: Path, stage: str, kills: int, seed: int) -> None:
    """Kill the stage until it has died `kills` times, and print what came of it."""
    (work / "input").mkdir(parents=True)
    run = STAGES[stage](work / "input")
    rng = np.random.default_rng(seed)
    run(work / "whole")
    started = time.monotonic()
    code, operations = forked(run, work / "again")
    lasted = time.monotonic() - started
    expected, out = content(work / "whole"), work / "killed"
    good = [code == 0 and content(work / "again") == expected]
    died = attempts = 0
    while died < kills:
        attempts += 1
        if attempts > 20 * kills:
            raise TimeoutError(f"{stage} ends before it can be killed")
        fate = {"die_at": int(rng.integers(1, operations + 1))} if attempts % 2 else {"after": lasted * rng.random()}
        code, _ = forked(run, out, **fate)
        died += code == -signal.SIGKILL
        if code == 0:
            good.append(content(out) == expected)
            shutil.rmtree(out)
        elif code != -signal.SIGKILL:
            raise RuntimeError(f"{stage} failed after it was killed")
    run(out)
    good.append(content(out) == expected)
    print(
        json.dumps({"died": died, "runs": attempts, "compared": len(good), "good": all(good), "files": len(expected)})
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
