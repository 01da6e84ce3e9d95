"""The README's pictures: the site at desktop and at phone width, and a live notebook, as a browser shows them.

``python docs/screenshots.py --out out --target docs/pictures`` needs a finished run and its site, Playwright and
a Chromium. Run it again after the look has changed.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from compendium.live.jupyter import served
from meddel import artefacts
from meddel.errors import MedDELError, exit_code

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = ["--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-background-networking"]
_DESKTOP, _PHONE, _PATIENCE = (1280, 860), (390, 844), 270_000
_COLOURS = 128


def browser_path() -> Path:
    """Return the installed Chromium.

    Raises
    ------
    MedDELError
        There is none.
    """
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        raise MedDELError("no Chromium is installed", fix="sudo apt-get install chromium")
    return Path(found)


def write(out: Path, target: Path) -> list[Path]:
    """Take all pictures of the finished run in `out` and of its site, and return their paths.

    Raises
    ------
    MedDELError
        No Chromium, no Playwright, no finished run, no site, or `target` can't be written.
    """
    try:
        from playwright.sync_api import sync_playwright  # here: it is there for development only
    except ImportError as error:
        raise MedDELError("Playwright is not installed", fix="run make setup") from error
    program = browser_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            return [*site_pictures(browser, out / "site", target), live_picture(browser, out, target)]
        finally:
            browser.close()


def site_pictures(browser: Browser, site: Path, target: Path) -> list[Path]:
    """Write ``site.png`` (a notebook's page at desktop width) and ``phone.png`` (the same on a phone, in the dark)."""
    place = (site / "notebooks" / "06_measure_data_utilisation.html").resolve()
    if not place.is_file():
        raise MedDELError("no page of that notebook", place, "run make study and make site first")
    written = []
    for name, size, scheme in (("site", _DESKTOP, "light"), ("phone", _PHONE, "dark")):
        page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        page.goto(place.as_uri())
        page.locator("a.figure img").first.scroll_into_view_if_needed()
        written.append(_keep(page, target / f"{name}.png"))
    return written


def live_picture(browser: Browser, out: Path, target: Path) -> Path:
    """Run notebook 09 of the run in `out` in JupyterLab and write ``explorer.png``: the explorer with its sliders."""
    notebook = out / "notebooks" / "09_show_kept_and_deleted.ipynb"
    if not notebook.is_file():
        raise MedDELError("the notebook has not been run", notebook, "run make study first")
    with tempfile.TemporaryDirectory(prefix="screenshots-") as folder:
        shutil.copy(notebook, folder)
        with served(Path(folder)) as (before, after):
            page = browser.new_page(viewport={"width": _DESKTOP[0], "height": _DESKTOP[1]})
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
            return _keep(page, target / "explorer.png")


def _keep(page: Page, path: Path) -> Path:
    """Write what the page shows as a PNG of few colours, which a repository can hold."""
    with Image.open(io.BytesIO(page.screenshot())) as image:
        buffer = io.BytesIO()
        image.convert("RGB").quantize(_COLOURS).save(buffer, "PNG", optimize=True)
    page.close()
    artefacts.write_bytes(path, buffer.getvalue())
    return path


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 a problem said in one line, 130 interrupted."""
    parser = argparse.ArgumentParser("python docs/screenshots.py", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of a finished run (default: out)")
    parser.add_argument("--target", type=Path, default=Path("docs/pictures"), help="(default: docs/pictures)")
    given = parser.parse_args(arguments)
    return exit_code("screenshots", lambda: print(*write(given.out, given.target), sep="\n"))


if __name__ == "__main__":
    sys.exit(main())
