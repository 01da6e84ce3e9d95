"""Kill a stage again and again, let it go on each time, and tell whether the bytes are those of an unbroken run.

Run by ``test_kills.py`` as ``python stages_to_kill.py FOLDER``: each line of its input names a stage, how many kills
after a random time and how many at a random file operation it gets, and a seed; each line of its output is what came
of it, as JSON. What a stage needs is imported once, each run is a forked child; torch makes forking slow, so the
stages that need it come last. A time is drawn between the start of the stage and its usual end; file operations are
counted by Python's audit events. After one to seven kills in a row the stage goes on to its end, its files are compared
with those of a run that nobody killed, and the next begins in an empty folder.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from compendium.scaling import generate
from meddel.config import EncoderConfig, PretrainConfig
from meddel.images import index
from meddel.scale import select as select_from
from meddel.scale.dedup import dedup, lay_out, sort
from meddel.scale.kmeans import kmeans
from meddel.scale.stream import Stream, save_checkpoint
from meddel.select.ranking import order_within
from meddel.store import import_from, locked

N, D, K, BLOCK = 600, 16, 6, 50
TINY = EncoderConfig(image_size=16, patch_size=8, width=24, depth=1, heads=2)
EVENTS = {"open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "os.rmdir"}
PATIENCE = 120  # seconds after which a child hangs

Stage = Callable[[Path], object]


def embedding(work: Path) -> Stage:
    """Embed 23 small pictures in shards of 4."""
    from meddel import encoder
    from meddel.embed import embed

    (work / "photos").mkdir()
    for number in range(23):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(work / "photos" / f"{number:02d}.png")
    table = index.build_index(work / "photos")
    model = encoder.build(TINY, 0)
    return lambda out: embed(table, out, model=model, batch=2, shard_rows=4)


def importing(work: Path) -> Stage:
    """Import a .npy file in shards of 40 rows."""
    np.save(work / "x.npy", np.random.default_rng(0).standard_normal((N, D)))
    return lambda out: import_from(work / "x.npy", out, shard_rows=40)


def clustering(work: Path) -> Stage:
    """K-means by streaming, from the draw of its start on."""
    stream = Stream(generate(work / "store", N, D, 0, shard_rows=200), 4 * BLOCK, np.arange(N), threads=1)

    def run(out: Path) -> None:
        with locked(out):
            kmeans(stream, K, out, "key", seed=0, iterations=4)

    return run


def after_kmeans(work: Path) -> tuple[Stream, tuple]:
    """Return a stream and the layout of its clusters, one of which is larger than a block."""
    stream = Stream(generate(work / "store", N, D, 0, shard_rows=90), BLOCK, np.arange(N), threads=1)
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
            save_checkpoint(out / "cosines.npz", "key", **found._asdict())

    return run


def selecting(work: Path) -> Stage:
    """All stages, one after the other."""
    store = generate(work / "store", 2000, D, 0, shard_rows=300)
    return lambda out: select_from(store, out, k=12, ratio=0.3, iterations=3, threads=1)


def pretraining(_: Path) -> Stage:
    """Pre-train for 12 steps, with a checkpoint after each."""
    from meddel.pretrain.loop import pretrain

    pictures = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    settings = PretrainConfig(method="simclr", images_seen=96, batch=8, lr=1e-3, checkpoint_seconds=1e-6)
    return lambda out: pretrain(pictures, np.arange(12), TINY, settings, 0, out)


STAGES: dict[str, Callable[[Path], Stage]] = {
    "embed": embedding,
    "import": importing,
    "kmeans": clustering,
    "sort": sorting,
    "dedup": deduplicating,
    "select": selecting,
    "pretrain": pretraining,
}


def content(folder: Path) -> dict[str, bytes]:
    """All files but the provenance, which tells how long it took."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in files
        if not path.name.endswith(("store.json.json", ".parquet.json", ".safetensors.json"))
    }


class Ended(NamedTuple):
    """How a child ended: its exit code (negative: the signal), its file operations, its seconds."""

    code: int
    operations: int
    seconds: float


def child(run: Stage, out: Path, die_at: int | None, said: int) -> None:
    """Run the stage and die at one of its file operations; tell its start and their number. Never returns."""
    seen = 0

    def hook(event: str, _: tuple) -> None:
        nonlocal seen
        if event in EVENTS:
            seen += 1
            if seen == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    code = 1
    try:
        os.write(said, b"go ")
        sys.addaudithook(hook)
        run(out)
        os.write(said, str(seen).encode())
        code = 0
    finally:
        os._exit(code)


def forked(run: Stage, out: Path, *, die_at: int | None = None, after: float | None = None) -> Ended:
    """Run the stage in a child that dies at a file operation, or is killed some seconds after its start."""
    listening, said = os.pipe()
    process = os.fork()
    if process == 0:
        child(run, out, die_at, said)
    os.close(said)
    heard = os.read(listening, 3)
    assert heard == b"go "
    started = time.monotonic()
    if not select.select([listening], [], [], PATIENCE if after is None else after)[0]:
        os.kill(process, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    counted = os.read(listening, 99)
    os.close(listening)
    if code == -signal.SIGKILL and after is None and die_at is None:
        raise TimeoutError(f"a child of {out} hangs")
    return Ended(code, int(counted or b"0"), time.monotonic() - started)


def hunted(run: Stage, work: Path, kills: int, at_operations: int, seed: int) -> dict[str, object]:
    """Kill the stage until it has died often enough; return what came of it."""
    rng = np.random.default_rng(seed)
    whole = [forked(run, work / name) for name in ("whole", "again", "third")]
    expected = content(work / "whole")
    same = [content(work / name) == expected for name in ("again", "third")]
    usual, operations = statistics.median(one.seconds for one in whole), whole[0].operations
    died, midway, out = {"after": 0, "die_at": 0}, 0, work / "killed"
    wanted = {"after": kills, "die_at": at_operations}
    attempts = 0
    while died != wanted:
        for _ in range(rng.integers(1, 8)):
            way = next(way for way in wanted if died[way] < wanted[way] or way == "die_at")
            fate = usual * rng.random() if way == "after" else int(rng.integers(1, operations + 1))
            code = forked(run, out, **{way: fate}).code
            attempts += 1
            if code not in (0, -signal.SIGKILL) or attempts > 20 * (kills + at_operations):
                raise RuntimeError(f"{code}: the stage failed after it was killed, or ends before it can be")
            died[way] += code != 0
            midway += code != 0 and content(out) not in ({}, expected)
            if died == wanted:
                break
        same.append(forked(run, out).code == 0 and content(out) == expected)
        shutil.rmtree(out)
    return {"died": died["after"], "at_operations": died["die_at"], "midway": midway, "runs": attempts,
            "compared": len(same), "same": all(same), "files": len(expected)}  # fmt: skip


def main(work: Path) -> None:
    """Serve one line after the other."""
    os.environ["MEDDEL_PROGRESS"] = "0"
    tqdm.set_lock(threading.RLock())  # its own is shared with children: who dies with it would stop the others
    os.environ["OMP_NUM_THREADS"] = "1"  # threads of OpenMP do not survive a fork
    for line in sys.stdin:
        stage, *numbers = line.split()
        (work / stage / "input").mkdir(parents=True)
        run = STAGES[stage](work / stage / "input")
        if stage != "pretrain":  # the threads of autograd do not survive a fork
            run(work / stage / "warm")
        print(json.dumps(hunted(run, work / stage, *map(int, numbers))), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
