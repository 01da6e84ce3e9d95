"""JupyterLab on the loopback interface for as long as a block lasts, with settings that are nobody's."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meddel import artefacts
from meddel.errors import MedDELError

_CHECK = "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate"
_NO_NEWS = Path("@jupyterlab", "apputils-extension", "notification.jupyterlab-settings")


@contextmanager
def served(folder: Path, patience: float = 270) -> Iterator[tuple[str, str]]:
    """Serve the notebooks of `folder` while the block runs.

    Parameters
    ----------
    folder : Path
        JupyterLab sees this folder and what is below.
    patience : float
        Seconds that it may take to start.

    Yields
    ------
    str, str
        What an address begins with, such as ``http://127.0.0.1:4567/lab/tree/``, and what it ends with after the
        notebook's name: the token.

    Raises
    ------
    MedDELError
        It does not answer in time.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="jupyter-") as own:
        server = _start(folder, port, token, Path(own))
        try:
            _wait(f"http://127.0.0.1:{port}/api/status?token={token}", server, Path(own) / "log", patience)
            yield f"http://127.0.0.1:{port}/lab/tree/", f"?token={token}"
        finally:
            server.terminate()
            server.wait(60)


def _start(folder: Path, port: int, token: str, own: Path) -> subprocess.Popen:
    folders = {f"JUPYTER_{name}": str(own / name) for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")}
    folders |= {f"JUPYTERLAB_{name}": str(own / name) for name in ("SETTINGS_DIR", "WORKSPACES_DIR")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    command += [f"--ServerApp.root_dir={folder.resolve()}", "--LabApp.extension_manager=readonly", _CHECK]
    environment = {**os.environ, **folders, "IPYTHONDIR": str(own / "ipython"), "MEDDEL_PROGRESS": "0"}
    artefacts.write_json(own / "SETTINGS_DIR" / _NO_NEWS, {"fetchNews": "false"})  # or JupyterLab asks for it
    with (own / "log").open("w") as log:
        return subprocess.Popen(command, cwd=own, env=environment, stdout=log, stderr=log)


def _wait(url: str, server: subprocess.Popen, log: Path, patience: float) -> None:
    """Wait until the server answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + patience
    while time.monotonic() < end and server.poll() is None:
        try:
            direct.open(url, timeout=patience).close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    said = log.read_text(encoding="utf-8").strip().splitlines() or ["nothing"]
    raise MedDELError(f"JupyterLab does not answer; its last words: {said[-1][:200]}", fix="see jupyter lab's own log")
