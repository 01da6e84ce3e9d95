"""A slider moved in a browser, in JupyterLab, as a person moves it."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, sync_playwright

served = runpy.run_path(str(Path(__file__).resolve().parents[3] / "docs" / "serve_jupyter.py"))["served"]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed, and a slider needs a browser")

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
OPTIONS += ["--disable-component-update", "--disable-sync"]
CELLS = (
    "from compendium.live import score\nfrom compendium.metrics import published_cells",
    'score.normdel_sliders({"Table 3": published_cells()})',
    'print("the", "end")',
)
PICTURE = '.jp-OutputArea-output img[alt^="Table of NormDEL"]'
PATIENCE = 270  # seconds for each step, of which an idle machine needs few


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of the notebook in a JupyterLab that serves its folder."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, tmp_path / "live.ipynb")
    with served(tmp_path, PATIENCE) as (before, after):
        yield f"{before}live.ipynb{after}"


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
