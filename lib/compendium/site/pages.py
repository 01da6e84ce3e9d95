"""From an executed notebook to a page: figures as files with their alt texts, tables as tables, what the run cost."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

from compendium import contents, figures
from compendium.site import citations
from meddel import artefacts, wording
from meddel.artefacts import Provenance
from meddel.errors import MedDELError

_IMAGE = re.compile(r'<img\b[^>]*\bsrc="data:image/png;base64,([^"]+)"[^>]*>')
_ALT = re.compile(r'\balt="([^"]*)"')
_TABLE = re.compile(r"\*\*(?P<title>[^\n]+)\*\*\n\n(?P<rows>(?:\|[^\n]*\n)+)(?P<note>.*)", re.DOTALL)
_NAMED, _NUMBERED = re.compile(r"`(\d\d_\w+)`"), re.compile(r"(?<!\[)\b([Nn]otebook )(\d\d)\b")
_REPORT = re.compile(r"\[([^\]]+)\]\(\.\./report\.html\)")
_UNDESCRIBED = "A figure that its notebook does not describe."
_HIDDEN = {"injected-parameters", contents.NAVIGATION}
_COSTS = "| notebook | time | peak memory | machine |\n| --- | ---: | ---: | --- |\n"


def executed(out: Path) -> list[Path]:
    """Return the executed notebooks of the run in `out`, in order.

    Raises
    ------
    MedDELError
        There are none.
    """
    found = sorted((out / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise MedDELError("no executed notebook", out / "notebooks", "run make study first")
    return found


def write(notebooks: Iterable[Path], folder: Path, pictures: Path, keys: Mapping[str, str]) -> None:
    """Write a page for each executed notebook, and ``costs.txt``: a table of what each took.

    Parameters
    ----------
    notebooks : iterable of Path
        Executed notebooks; the provenance of their HTML pages lies beside them.
    folder, pictures : Path
        Where the pages and their figures go; both lie in the folder of Sphinx's sources, ``static`` above the figures.
    keys : mapping
        Keys of the bibliography by arXiv number (`compendium.site.citations`).

    Raises
    ------
    MedDELError
        A notebook can't be read, or the folders can't be written.
    """
    notebooks = list(notebooks)
    names = {path.stem[:2]: path.stem for path in notebooks}
    rows = []
    for path in notebooks:
        try:
            book = nbformat.read(path, as_version=4)
        except (OSError, ValueError) as error:
            raise MedDELError("not a notebook", path, "run make study again") from error
        record = artefacts.read_provenance(path.with_suffix(".html"))
        book.cells = [cell for cell in book.cells if not _HIDDEN & set(cell.metadata.get("tags", []))]
        for number, cell in enumerate(book.cells):
            if cell.cell_type == "markdown":
                cell.source = citations.cite(_linked(cell.source, names, path.stem), keys, "{cite:p}")
            elif cell.cell_type == "code":
                cell.outputs = [
                    _shown(output, pictures, f"{path.stem}-{number}-{place}")
                    for place, output in enumerate(cell.outputs)
                ]
        book.cells.insert(1, nbformat.v4.new_markdown_cell(_box(record)))
        artefacts.write_text(folder / path.name, nbformat.writes(book))
        rows.append(_row(path.stem, record))
    artefacts.write_text(folder / "costs.txt", _COSTS + "\n".join(rows) + "\n")


def _linked(text: str, names: Mapping[str, str], own: str) -> str:
    """Names of other notebooks become links to their pages."""

    def by_name(found: re.Match[str]) -> str:
        name = found[1]
        return f"[{found[0]}]({name}.ipynb)" if name in names.values() and name != own else found[0]

    def by_number(found: re.Match[str]) -> str:
        name = names.get(found[2], own)
        return found[0] if name == own else f"[{found[0]}]({name}.ipynb)"

    return _NUMBERED.sub(by_number, _NAMED.sub(by_name, text))


def _shown(output: NotebookNode, pictures: Path, name: str) -> NotebookNode:
    """One output as the site shows it; what is neither a figure nor a table stays as it is."""
    data = output.get("data", {})
    image = _IMAGE.search(data.get("text/html", ""))
    if image is not None or "image/png" in data:
        encoded = data["image/png"] if image is None else image[1]
        alt = "" if image is None else html.unescape((_ALT.search(image[0]) or ["", ""])[1])
        output.data = NotebookNode({"text/html": _figure(base64.b64decode(encoded), pictures / f"{name}.png", alt)})
    elif table := _TABLE.fullmatch(data.get("text/markdown", "")):
        directive = f"```{{table}} {table['title']}\n\n{table['rows']}```\n\n{table['note'].strip()}\n"
        output.data = NotebookNode({"text/markdown": directive})
    elif "text/markdown" in data:  # Sphinx would look for the report among its sources
        data["text/markdown"] = _REPORT.sub(r'<a href="../report.html">\1</a>', data["text/markdown"])
    return output


def _figure(content: bytes, path: Path, alt: str) -> str:
    """Write a PNG and return the HTML that shows it, with the alt text of its metadata or else the one it had."""
    artefacts.write_bytes(path, content)
    text = html.escape(figures.read_alt(path) or alt or _UNDESCRIBED)
    with Image.open(path) as image:
        width, height = image.size
    place = f"../_static/{path.parent.name}/{path.name}"
    size = f'width="{width}" height="{height}" loading="lazy"'
    return f'<a class="figure" href="{place}"><img alt="{text}" src="{place}" {size}></a>'


def _box(record: Provenance | None) -> str:
    if record is None:
        said = "There is no record of it: the notebook was cut off, or ran outside `make study`."
    else:
        data = record.parameters.get("data")
        facts = {
            "Time": wording.duration(record.seconds),
            "Peak memory of its kernel": contents.memory_of(record),
            "Machine": record.machine,
            "Profile": f"`{record.parameters.get('profile', 'none')}`, seed {record.seed}",
            "Images": f"`{Path(data).name}`" if data else "generated",
            "Version": f"{record.version}, commit {record.commit}",
        }
        said = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    return f"```{{admonition}} Time and memory of this run\n:class: note cost\n\n{said}\n```"


def _row(name: str, record: Provenance | None) -> str:
    cells = (
        ("–", "–", "–")
        if record is None
        else (wording.duration(record.seconds), contents.memory_of(record), record.machine)
    )
    return f"| [{name}](notebooks/{name}.ipynb) | {' | '.join(cells)} |"
