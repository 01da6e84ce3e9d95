"""The site of two small notebooks, walked through in a browser: offline, on a phone, in the dark, by the keyboard."""

from __future__ import annotations

import base64
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import nbformat
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

from compendium import site, tables
from compendium.figures import style
from meddel import artefacts

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ("background-networking", "component-update", "sync", "gpu", "quic")
ARGUMENTS = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in QUIET)]
PAGES = (
    *("index", "paper", "notebooks/00_first_steps", "use/images", "use/selector", "use/workshop", "kernels/README"),
    *("reference/glossary", "reference/bibliography", "reference/api/meddel/meddel.select", "search"),
)
ALT = "A line that rises from zero to two."
pytestmark = [
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"no browser at {CHROMIUM}"),
    pytest.mark.timeout(1200),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def notebook(title: str, text: str, shown: str = "nothing") -> nbformat.NotebookNode:
    """An executed notebook with a figure, as an output of its own kind and as HTML, and a table."""
    with style.styled():
        figure, [axis] = style.new(1, 1, 4, 2)
        axis.plot([0, 1, 2])
    style.describe(figure, ALT)
    image = base64.b64encode(style.encoded(figure, "png")).decode()
    frame = pd.DataFrame({"set": ["a", "b", "c"], "images": ["9", "100", "20"]})
    table = tables.comparison(frame, name="sizes", title="Sizes of the sets")
    bundles = [
        {"image/png": image},
        {"text/html": figure._repr_html_()},
        {"text/html": table.html, "text/markdown": table.markdown},
        {"text/markdown": shown},
    ]
    outputs = [new_output("display_data", data) for data in bundles]
    cells = [new_markdown_cell(f"# {title}\n\n{text}"), new_code_cell("show()", outputs=outputs, execution_count=1)]
    return new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two notebooks and its site, built without a warning."""
    out = tmp_path_factory.mktemp("run")
    books = {
        "00_first_steps": notebook("First steps", "See notebook 01 and arXiv 2303.09540 for $e^{-R}$."),
        "01_second_steps": notebook(
            "Second steps", "A zebrafish swims here, after `00_first_steps`.", "[report.html](../report.html)"
        ),
    }
    for name, book in books.items():
        path = out / "notebooks" / f"{name}.ipynb"
        with artefacts.recorded(path.with_suffix(".html"), "key", parameters={"profile": "smoke"}, seed=0):
            artefacts.write_text(path, nbformat.writes(book))
    links = "".join(f'<a href="notebooks/{name}.html">{name}</a>' for name in books)
    head = '<meta charset="utf-8"><title>Report</title><link rel="icon" href="data:,">'
    page = f'<!doctype html><html lang="en"><head>{head}</head><body><h1>Report</h1>{links}</body></html>'
    artefacts.write_text(out / "report.html", page)
    site.build(out, out / "site", strict=True)
    return out / "site"


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)
    yield context.new_page()
    context.close()


def told(page: Page, address: str) -> list[str]:
    """A list that fills with what goes wrong on the page: errors, failed requests, requests to other hosts."""
    trouble: list[str] = []

    def console(message: ConsoleMessage) -> None:
        if message.type == "error":
            trouble.append(message.text)

    def request(made: Request) -> None:
        if not made.url.startswith((address, "data:")):
            trouble.append(f"request to {made.url}")

    def response(got: Response) -> None:
        if got.status >= 400:
            trouble.append(f"{got.status} {got.url}")

    page.on("console", console)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", request)
    page.on("response", response)
    return trouble


def linked(page: Page) -> set[str]:
    """All addresses that the page links to, without those of other hosts."""
    found = page.eval_on_selector_all("a[href]", "links => links.map(link => link.getAttribute('href'))")
    addresses = {urljoin(page.url, target) for target in found}
    return {target for target in addresses if urlsplit(target).netloc == urlsplit(page.url).netloc}


def test_every_page_is_whole_and_every_link_leads_somewhere(folder: Path, page: Page, address: str) -> None:
    trouble, anchors, links = told(page, address), {}, set()
    for path in sorted(folder.rglob("*.html")):
        if "_static" in path.parts:
            continue  # the theme's template
        here = address + path.relative_to(folder).as_posix()
        page.goto(here)
        anchors[here] = set(page.eval_on_selector_all("[id]", "found => found.map(one => one.id)"))
        links |= linked(page)
        # Those out of sight are loaded late: ask for them now.
        broken = """async images => (await Promise.all(images.map(async image => {
            image.loading = 'eager'; try { await image.decode(); return [] } catch { return [image.src] } }))).flat()"""
        assert page.eval_on_selector_all("img", broken) == []
        assert page.eval_on_selector_all("img:not([alt])", "images => images.length") == 0
    assert trouble == []
    for target in links:
        where, anchor = urldefrag(target)
        if where in anchors:
            assert not anchor or anchor in anchors[where], target
        else:
            assert (folder / where.removeprefix(address)).is_file(), target


def test_a_notebook_page_has_figures_formulas_its_cost_and_its_neighbours(page: Page, address: str) -> None:
    page.goto(f"{address}notebooks/00_first_steps.html")
    article = page.locator(".bd-article")
    assert [image.get_attribute("alt") for image in article.locator("img").all()] == [ALT, ALT]
    assert article.locator("math msup").count() == 1
    assert "Peak memory" in article.locator(".cost").inner_text()
    assert article.get_by_role("link", name="notebook 01").count() == 1
    assert article.locator("a[href*='bibliography.html#']").count() == 1
    page.locator("a.right-next").click()
    assert page.url.endswith("01_second_steps.html")
    page.locator("a.left-prev").click()
    assert page.url.endswith("00_first_steps.html")


def test_tables_sort_by_the_keyboard_and_say_so(page: Page, address: str) -> None:
    page.goto(f"{address}notebooks/00_first_steps.html")
    table = page.get_by_role("table", name="Sizes of the sets")
    heading = table.get_by_role("columnheader", name="images")
    heading.get_by_role("button").focus()
    for direction, expected in (("ascending", ["9", "20", "100"]), ("descending", ["100", "20", "9"])):
        page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == direction
        assert table.locator("tbody td:last-child").all_inner_texts() == expected
    assert table.locator("th[aria-sort]").count() == 1


@pytest.mark.parametrize("served", [True, False], ids=["served", "as files"])
def test_search_finds_a_word_of_a_notebook(folder: Path, page: Page, address: str, served: bool) -> None:
    start = address if served else f"{folder.as_uri()}/"
    page.goto(f"{start}search.html?q=zebrafish")
    page.get_by_role("link", name="Second steps").first.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_have_no_serious_barrier(browser: Browser, address: str, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    context.set_default_timeout(120_000)
    page = context.new_page()
    for name in PAGES:
        page.goto(f"{address}{name}.html")
        page.wait_for_function("document.readyState === 'complete'")
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        found = Axe().run(page).response["violations"]
        grave = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
        assert grave == [], name
    context.close()
