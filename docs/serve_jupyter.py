"""JupyterLab on the loopback interface for as long as a block lasts, with settings that are nobody's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meddel import artefacts
from meddel.errors import MedDELError

_CHECK = "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate"
_NO_NEWS = Path("@jupyterlab", "apputils-extension", "notification.jupyterlab-settings")


@contextmanager
def served(folder: Path, patience: float = 270) -> Iterator[tuple[str, str]]:
    """Serve the notebooks in `folder`, and yield the parts of an address before and after a notebook's name.

    They are such as ``http://127.0.0.1:4567/lab/tree/`` and the token. It may take `patience` seconds to start.
    """
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", _CHECK]
    command += [f"--ServerApp.root_dir={folder.resolve()}", "--LabApp.extension_manager=readonly"]
    with tempfile.TemporaryDirectory(prefix="jupyter-") as temporary:
        own = Path(temporary)
        folders = {f"JUPYTER_{name}": str(own / name) for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")}
        folders |= {f"JUPYTERLAB_{name}": str(own / name) for name in ("SETTINGS_DIR", "WORKSPACES_DIR")}
        environment = {**os.environ, **folders, "IPYTHONDIR": str(own / "ipython"), "MEDDEL_PROGRESS": "0"}
        artefacts.write_json(own / "SETTINGS_DIR" / _NO_NEWS, {"fetchNews": "false"})  # or JupyterLab asks for it
        with (own / "log").open("w") as log:
            server = subprocess.Popen(command, cwd=own, env=environment, stdout=log, stderr=log)
        try:
            known = _address(own, server, time.monotonic() + patience)
            yield f"{known['url']}lab/tree/", f"?token={known['token']}"
        finally:
            server.terminate()
            server.wait(60)


def _address(own: Path, server: subprocess.Popen, end: float) -> dict[str, str]:
    """Return the address and the token which the server writes down as soon as it listens."""
    while time.monotonic() < end and server.poll() is None:
        for path in (own / "RUNTIME_DIR").glob("jpserver-*.json"):
            try:
                return json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                pass  # not whole yet
        time.sleep(0.2)
    said = (own / "log").read_text(encoding="utf-8").strip().splitlines() or ["nothing"]
    raise MedDELError(f"JupyterLab does not answer; its last words: {said[-1][:200]}", fix="see jupyter lab's own log")
