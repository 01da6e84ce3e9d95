"""A slider moved in a browser, in JupyterLab, as a person moves it."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed, and a slider needs a browser")

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
OPTIONS += ["--disable-component-update", "--disable-sync"]
CELLS = (
    "from meddel.live import score\nfrom meddel.metrics.cells import published_cells",
    'score.normdel_panel({"Table 3": published_cells()})',
    'print("the", "end")',
)
PICTURE = '.jp-OutputArea-output img[alt^="Table of NormDEL"]'
PATIENCE = 270  # seconds for each step, of which an idle machine needs few


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """JupyterLab on the loopback interface with the notebook in its folder; gives the notebook's address."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (tmp_path / "files").mkdir()
    nbformat.write(book, tmp_path / "files" / "live.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, names = secrets.token_hex(16), ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    folders = {f"JUPYTER_{name}": str(tmp_path / name) for name in names}
    folders |= {f"JUPYTERLAB_{name}": str(tmp_path / name) for name in ("SETTINGS_DIR", "WORKSPACES_DIR")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    command += [f"--ServerApp.root_dir={tmp_path / 'files'}", "--LabApp.extension_manager=readonly"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate"]
    environment = {**os.environ, **folders, "IPYTHONDIR": str(tmp_path / "ipython"), "MEDDEL_PROGRESS": "0"}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}/api/status?token={token}", server, tmp_path / "log")
            yield f"http://127.0.0.1:{port}/lab/tree/live.ipynb?token={token}"
        finally:
            server.terminate()
            server.wait(60)


def _wait(url: str, server: subprocess.Popen, log: Path) -> None:
    """Wait until the server answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            direct.open(url, timeout=PATIENCE).close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab does not answer: {log.read_text(encoding='utf-8')[-2000:]}")


def _alt(page: Page) -> str:
    return page.locator(PICTURE).get_attribute("alt") or ""


def test_a_slider_moved_by_the_keyboard_changes_the_picture(address: str) -> None:
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=OPTIONS, timeout=1000 * PATIENCE)
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(address, wait_until="domcontentloaded")
        page.get_by_text('"Table 3"').wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.get_by_text("the end", exact=True).wait_for()
        picture = page.locator(PICTURE)
        picture.wait_for()
        before, said = picture.get_attribute("src"), _alt(page)
        assert "at alpha 1," in said
        page.locator(".jp-OutputArea-output [role=slider]").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(
            "([picture, before]) => document.querySelector(picture).src !== before", arg=[PICTURE, before]
        )
        assert "at alpha 1.12," in _alt(page)
        browser.close()
