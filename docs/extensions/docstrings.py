"""Docstrings and notebooks for Sphinx: bars and trailing underscores are no markup, arXiv numbers become citations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from sphinx.application import Sphinx

_CODE = re.compile(r"(``.*?``|`.*?`)")
_MARKUP = re.compile(r"\||(?<=\w)_(?=[\s,.;:)]|$)")
_ENTRY = re.compile(r"^@\w+\{([\w-]+),(.*?)^\}", re.MULTILINE | re.DOTALL)
_EPRINT = re.compile(r"^\s*eprint\s*=\s*\{([\d.]+)\}", re.MULTILINE)
_NUMBER = re.compile(r"arXiv[: ](\d{4}\.\d{4,5})(?![\d.]*\d)")
_PACKAGES = ("meddel", "datadel", "compendium", "endosim", "builtins")


def keys_by_arxiv(bibliography: Path) -> dict[str, str]:
    """Return the key of every entry of a .bib file that has an arXiv number, by that number."""
    entries = _ENTRY.findall(bibliography.read_text(encoding="utf-8"))
    return {found[1]: key for key, body in entries if (found := _EPRINT.search(body))}


def cite(text: str, keys: Mapping[str, str], role: str) -> str:
    """Return `text` with a citation after every arXiv number in `keys`; `role` is ``{cite:p}`` or ``:cite:p:``."""
    return _NUMBER.sub(lambda found: f"{found[0]} {role}`{keys[found[1]]}`" if found[1] in keys else found[0], text)


def plain(lines: list[str], drawings: bool) -> Iterator[str]:
    """Yield the lines with ``|`` and a trailing ``_`` escaped, but for code and indented literal blocks.

    With `drawings`, what is indented after an empty line is a drawing, and literal.
    """
    literal: int | None = None
    before = "start"
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip() and literal is not None and indent <= literal:
            literal = None
        if drawings and literal is None and indent >= 4 and not before.strip():
            yield from ("::", "")
            literal = 0
        if literal is None:
            parts = _CODE.split(line)
            parts[::2] = [_MARKUP.sub(lambda found: f"\\{found[0]}", part) for part in parts[::2]]
            yield "".join(parts)
            literal = indent if line.rstrip().endswith("::") else None
        else:
            yield line
        before = line


def change(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Change a docstring's lines in place; the arguments are those of Sphinx's event."""
    keys = keys_by_arxiv(Path(app.srcdir) / app.config.bibtex_bibfiles[0])
    lines[:] = [cite(line, keys, ":cite:p:") for line in plain(lines, drawings=what == "module")]


def skip(app: Sphinx, what: str, name: str, thing: object, skipped: bool, options: object) -> bool | None:
    """Leave out what other packages put into our classes; None leaves the choice to autodoc."""
    module = getattr(thing, "__module__", None)
    foreign = isinstance(module, str) and not module.startswith(_PACKAGES)
    return True if foreign and what == "class" else None


def cite_in_notebook(app: Sphinx, page: str, source: list[str]) -> None:
    """Add citations to the text of a notebook."""
    if page.startswith("notebooks/"):
        keys = keys_by_arxiv(Path(app.srcdir) / app.config.bibtex_bibfiles[0])
        book = nbformat.reads(source[0], as_version=4)
        for cell in book.cells:
            if cell.cell_type == "markdown":
                cell.source = cite(cell.source, keys, "{cite:p}")
        source[0] = nbformat.writes(book)


def setup(app: Sphinx) -> dict[str, Any]:
    """Listen to autodoc, and to the reading of pages."""
    app.connect("autodoc-process-docstring", change, priority=400)  # before napoleon adds markup of its own
    app.connect("autodoc-skip-member", skip)
    app.connect("source-read", cite_in_notebook)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
