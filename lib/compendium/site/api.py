"""The pages of the API reference: one for each module of a package, one for each package inside it.

They only name the modules; Sphinx reads the docstrings. Modules are found as files, so that none is imported here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from meddel import artefacts

_MODULE = """
.. automodule:: {name}
   :members:
   :ignore-module-all:
"""


def write(packages: Iterable[Path], folder: Path) -> None:
    """Write the reference of `packages` (folders of source) into `folder`, with an ``index.rst``."""
    listed: list[str] = []
    for package in packages:
        artefacts.write_text(folder / f"{package.name}.rst", _page(package.name, [package / "__init__.py"], package))
        listed.append(_heading(package.name, "-"))
        rows = [(package.name, package.name, _first_line(package / "__init__.py"))]
        for page in _children(package):
            name = f"{package.name}.{page.stem}"
            files = sorted(_files(page)) if page.is_dir() else [page]
            artefacts.write_text(folder / f"{name}.rst", _page(name, files, package))
            rows.append((page.stem, name, _first_line(files[0])))
        listed.append(_table(rows))
    text = [_heading("API reference", "="), "Taken from the docstrings. What begins with an underscore is left out.\n"]
    artefacts.write_text(folder / "index.rst", "\n".join([*text, *listed]))


def _children(package: Path) -> list[Path]:
    """The public modules and packages right below a package, by name."""
    modules = [path for path in package.glob("*.py") if not path.stem.startswith("_")]
    inner = [path.parent for path in package.glob("[!_]*/__init__.py")]
    return sorted([*modules, *inner])


def _files(package: Path) -> Iterator[Path]:
    """A package's ``__init__.py`` and its public modules, however deep."""
    for path in package.rglob("*.py"):
        inside = path.relative_to(package).with_suffix("").parts
        if not any(part.startswith("_") for part in inside[:-1]) and (
            inside[-1] == "__init__" or not inside[-1].startswith("_")
        ):
            yield path


def _page(name: str, files: list[Path], package: Path) -> str:
    """The page of a module, or of a package with all its modules as sections."""
    parts = [_heading(name, "=")]
    for path in files:
        module = _module(path, package)
        if module != name:
            parts.append(_heading(module, "-"))
        parts.append(_MODULE.format(name=module))
    return "\n".join(parts)


def _module(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


def _table(rows: list[tuple[str, str, str]]) -> str:
    """A table of modules with links, and the hidden list that puts their pages in order."""
    lines = [".. list-table::", "   :header-rows: 1", "", "   * - module", "     - subject"]
    for shown, name, subject in rows:
        lines += [f"   * - :doc:`{shown} <{name}>`", f"     - {subject}"]
    lines += ["", ".. toctree::", "   :hidden:", "", *(f"   {shown} <{name}>" for shown, name, _ in rows), ""]
    return "\n".join(lines)
