"""Hand a kept-list to the room's leaderboard over HTTP."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from meddel.errors import MedDELError

_SECONDS = 30


def submit(server: str, name: str, path: Path) -> str:
    """Upload the CSV at `path` under `name` and return the leaderboard's answer, one line.

    Parameters
    ----------
    server : str
        Address, such as ``http://192.168.0.7:8000``.
    name : str
        As the board will show it.
    path : Path
        As ``meddel select`` writes it.

    Raises
    ------
    MedDELError
        The file can't be read, nobody answers at that address, or the list is refused; the message says why.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise MedDELError(f"can't read the list: {error.strerror}", path, "select first") from error
    if not server.startswith(("http://", "https://")):
        raise MedDELError("no address of a leaderboard", repr(server), "give one such as http://192.168.0.7:8000")
    target = f"{server.rstrip('/')}/submit?{urllib.parse.urlencode({'name': name})}"
    request = urllib.request.Request(target, data=content, headers={"Content-Type": "text/csv"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the room's server is in the room
    try:
        with opener.open(request, timeout=_SECONDS) as answer:
            return answer.read().decode().strip()
    except urllib.error.HTTPError as error:
        raise MedDELError(error.read().decode(errors="replace").strip(), path, "mend the list and try again") from error
    except OSError as error:  # URLError among them
        raise MedDELError(f"no leaderboard answers: {error}", server, "ask for its address") from error
