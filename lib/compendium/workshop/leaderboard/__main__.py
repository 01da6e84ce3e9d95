"""``python -m compendium.workshop.leaderboard``: open the room's leaderboard until it is interrupted."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from compendium.workshop.leaderboard.server import PRICE, Leaderboard
from meddel import artefacts
from meddel.errors import MedDELError


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0 after an interruption, 1 for a problem said in one line."""
    parser = argparse.ArgumentParser("python -m compendium.workshop.leaderboard", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the leaderboard; give it again to go on")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for the room (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--price", type=float, default=PRICE, help="of the net benefit (default: %(default)s)")
    given = parser.parse_args(arguments)
    os.environ.setdefault("MEDDEL_PROGRESS", "0")
    try:
        with _alone(given.out), Leaderboard(given.out, given.host, given.port, given.price) as server:
            print(f"leaderboard: {server.address} (Ctrl-C ends it; call it again to go on)", flush=True)
            server.serve_forever()
    except MedDELError as error:
        print(f"compendium.workshop.leaderboard: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("closed; the same command goes on", file=sys.stderr)
    return 0


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep a second leaderboard out of the folder."""
    guard = FileLock(out / ".lock")
    try:
        out.mkdir(parents=True, exist_ok=True)
        guard.acquire(timeout=0)
    except Timeout:
        raise MedDELError("another leaderboard is open in this folder", out, "give another --out folder") from None
    except OSError as error:
        raise artefacts.unwritable(out, error) from error
    try:
        yield
    finally:
        guard.release()


if __name__ == "__main__":
    sys.exit(main())
