"""The README's picture: the explorer of notebook 09 in JupyterLab, as a browser shows it.

``python docs/screenshots.py --out out`` needs a finished run, Playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from serve_jupyter import served

from meddel import artefacts
from meddel.errors import MedDELError, exit_code

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = ["--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-background-networking"]
_PATIENCE, _COLOURS = 270_000, 128


def write(out: Path, target: Path) -> Path:
    """Run notebook 09 of the run in `out` in JupyterLab, and write the explorer with its sliders to `target`."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    notebook = out / "notebooks" / "09_show_kept_and_deleted.ipynb"
    if program is None:
        raise MedDELError("no Chromium is installed", fix="sudo apt-get install chromium")
    if not notebook.is_file():
        raise MedDELError("the notebook has not been run", notebook, "run make study first")
    with tempfile.TemporaryDirectory(prefix="screenshots-") as folder, sync_playwright() as playwright:
        shutil.copy(notebook, folder)
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        with served(Path(folder)) as (before, after):
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            page.set_default_timeout(_PATIENCE)
            page.goto(f"{before}{notebook.name}{after}", wait_until="domcontentloaded")
            page.get_by_text("| Idle").wait_for()  # before that JupyterLab asks which kernel to run it with
            for entry in ("Run", "Run All Cells"):
                page.get_by_role("menuitem", name=entry, exact=True).click()
            sliders = page.locator(".jp-OutputArea-output [role=slider]")
            sliders.last.focus()
            for _ in range(24):  # an image whose duplicates differ enough to be seen
                page.keyboard.press("ArrowRight")
            page.wait_for_timeout(2000)  # until its pictures are drawn
            page.locator(".jp-OutputArea-output figure").last.scroll_into_view_if_needed()
            page.wait_for_timeout(500)
            shot = page.screenshot()
        browser.close()
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(shot)) as image:  # few colours, so that a repository can hold it
        image.convert("RGB").quantize(_COLOURS).save(buffer, "PNG", optimize=True)
    artefacts.write_bytes(target, buffer.getvalue())
    return target


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 a problem, 130 interrupted."""
    parser = argparse.ArgumentParser("python docs/screenshots.py", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of a finished run (default: out)")
    parser.add_argument("--target", type=Path, default=Path("docs/pictures/explorer.png"))
    given = parser.parse_args(arguments)
    return exit_code("screenshots", lambda: print(write(given.out, given.target)))


if __name__ == "__main__":
    sys.exit(main())
