"""Docstrings as plain text: bars and trailing underscores are no markup, and arXiv numbers become citations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from compendium.site import citations

_CODE = re.compile(r"(``.*?``|`.*?`)")
_MARKUP = re.compile(r"\||(?<=\w)_(?=[\s,.;:)]|$)")


def plain(lines: list[str], drawings: bool) -> Iterator[str]:
    """Yield the lines with ``|`` and a trailing ``_`` escaped, but for code and indented literal blocks.

    With `drawings`, what stands indented after an empty line is a drawing, and literal.
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
    keys = citations.keys_by_arxiv(Path(app.srcdir) / app.config.bibtex_bibfiles[0])
    lines[:] = [citations.cite(line, keys, ":cite:p:") for line in plain(lines, drawings=what == "module")]


def skip(app: Sphinx, what: str, name: str, thing: object, skipped: bool, options: object) -> bool | None:
    """Leave out what other packages put into our classes; None leaves the choice to autodoc."""
    module = getattr(thing, "__module__", None)
    foreign = isinstance(module, str) and not module.startswith(("meddel", "builtins"))
    return True if foreign and what == "class" else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Listen to autodoc."""
    app.connect("autodoc-process-docstring", change, priority=400)  # before napoleon adds markup of its own
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
