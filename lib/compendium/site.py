"""The site: pages to read and search, built by Sphinx from a finished run and the source tree's folder ``docs``.

``python -m compendium.site --out OUT`` builds it. Nothing is executed: each notebook is shown as the run left it, its
figures as files and its tables as tables. The result needs no server and no network.
"""

from __future__ import annotations

import argparse
import base64
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

from compendium import course, figures
from meddel import artefacts
from meddel.artefacts import Provenance
from meddel.errors import MedDELError, exit_code

ROOT = Path(__file__).resolve().parents[2]
"""The source tree: the site's own pages are not installed with the library."""

_IMAGE = re.compile(r'<img\b[^>]*\bsrc="data:image/png;base64,([^"]+)"[^>]*>')
_TABLE = re.compile(r"\*\*(?P<title>[^\n]+)\*\*\n\n(?P<rows>(?:\|[^\n]*\n)+)(?P<note>.*)", re.DOTALL)
_NAMED, _NUMBERED = re.compile(r"`(\d\d_\w+)`"), re.compile(r"(?<!\[)\b([Nn]otebook )(\d\d)\b")
_REPORT = re.compile(r"\[([^\]]+)\]\(\.\./report\.html\)")
_HIDDEN = {"injected-parameters", course.NAVIGATION}


def build(out: Path, target: Path, *, strict: bool = False) -> Path:
    """Build the site of the run in `out` as the folder `target`, and return the path of its first page.

    A site at `target` is replaced when the new one is complete; anything else there is refused. With `strict`, a
    warning of Sphinx, such as a link that leads nowhere, is an error.
    """
    executed = sorted((out / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not executed:
        raise MedDELError("no executed notebook", out / "notebooks", "run make study first")
    _check(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as work:
            source, made = Path(work) / "source", Path(work) / "site"
            gather(executed, source)
            (source / "report").mkdir()  # goes to the site's top as it is
            if (out / "report.html").is_file():
                shutil.copy(out / "report.html", source / "report")
            _sphinx(source, made, Path(work), strict)
            if target.exists():
                os.replace(target, Path(work) / "old")
            os.replace(made, target)
    except OSError as error:
        raise artefacts.unwritable(target, error) from error
    return target / "index.html"


def gather(executed: Sequence[Path], source: Path) -> None:
    """Write all that Sphinx reads into the folder `source`: the pages of ``docs``, notebooks, kernels, workshop."""
    shutil.copytree(ROOT / "docs", source, ignore=shutil.ignore_patterns("__pycache__"))
    write_pages(executed, source / "notebooks", source / "static" / "figures")
    shutil.copytree(ROOT / "kernels" / "bench" / "results", source / "kernels" / "bench" / "results")
    shutil.copyfile(ROOT / "kernels" / "README.md", source / "kernels" / "README.md")
    shutil.copyfile(ROOT / "notebooks" / "workshop" / "TEACHING.md", source / "use" / "workshop.md")


def write_pages(executed: Sequence[Path], folder: Path, pictures: Path) -> None:
    """Write a page for each executed notebook into `folder`, and ``costs.txt``, a table of what each took."""
    names = {path.stem[:2]: path.stem for path in executed}
    rows = ["| notebook | time | peak memory | machine |", "| --- | ---: | ---: | --- |"]
    for path in executed:
        book, made = course.read(path), artefacts.read_provenance(path.with_suffix(".html"))
        book.cells = [cell for cell in book.cells if not _HIDDEN & set(cell.metadata.get("tags", []))]
        for number, cell in enumerate(book.cells):
            if cell.cell_type == "markdown":
                cell.source = _linked(cell.source, names, path.stem)
            elif cell.cell_type == "code":
                for place, output in enumerate(cell.outputs):
                    _show(output, pictures / f"{path.stem}-{number}-{place}.png")
        book.cells.insert(1, nbformat.v4.new_markdown_cell(_box(made)))
        artefacts.write_text(folder / path.name, nbformat.writes(book))
        took = ("–", "–", "–") if made is None else (*course.costs(made), made.machine)
        rows.append(f"| [{path.stem}](notebooks/{path.stem}.ipynb) | {' | '.join(took)} |")
    artefacts.write_text(folder / "costs.txt", "\n".join(rows) + "\n")


def _linked(text: str, names: Mapping[str, str], own: str) -> str:
    """Return a text in which the names of other notebooks are links to their pages."""

    def by_name(found: re.Match[str]) -> str:
        name = found[1]
        return f"[{found[0]}]({name}.ipynb)" if name in names.values() and name != own else found[0]

    def by_number(found: re.Match[str]) -> str:
        name = names.get(found[2], own)
        return found[0] if name == own else f"[{found[0]}]({name}.ipynb)"

    return _NUMBERED.sub(by_number, _NAMED.sub(by_name, text))


def _show(output: NotebookNode, picture: Path) -> None:
    """Change one output to what the site shows; what is neither a figure nor a table remains as it is."""
    data = output.get("data", {})
    image = _IMAGE.search(data.get("text/html", ""))
    if image is not None or "image/png" in data:
        artefacts.write_bytes(picture, base64.b64decode(data["image/png"] if image is None else image[1]))
        text = html.escape(figures.read_alt(picture))
        with Image.open(picture) as drawn:
            width, height = drawn.size
        place = f"../_static/{picture.parent.name}/{picture.name}"
        shown = f'<img alt="{text}" src="{place}" width="{width}" height="{height}" loading="lazy">'
        output.data = NotebookNode({"text/html": f'<a class="figure" href="{place}">{shown}</a>'})
    elif table := _TABLE.fullmatch(data.get("text/markdown", "")):
        directive = f"```{{table}} {table['title']}\n\n{table['rows']}```\n\n{table['note'].strip()}\n"
        output.data = NotebookNode({"text/markdown": directive})
    elif "text/markdown" in data:  # Sphinx would look for the report among its sources
        data["text/markdown"] = _REPORT.sub(r'<a href="../report.html">\1</a>', data["text/markdown"])


def _box(made: Provenance | None) -> str:
    """Return a box with what the run of a notebook took."""
    if made is None:
        said = "There is no record of it: the notebook was cut off, or ran outside `make study`."
    else:
        took, memory = course.costs(made)
        data = made.parameters.get("data")
        facts = {
            "Time": took,
            "Peak memory of its kernel": memory,
            "Machine": made.machine,
            "Profile": f"`{made.parameters.get('profile', 'none')}`, seed {made.seed}",
            "Images": f"`{Path(data).name}`" if data else "generated",
            "Version": f"{made.version}, commit {made.commit}",
        }
        said = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    return f"```{{admonition}} Time and memory of this run\n:class: note cost\n\n{said}\n```"


def _check(target: Path) -> None:
    """Refuse to build without the sources or Sphinx, or over something that is no site."""
    if not (ROOT / "docs" / "conf.py").is_file():
        raise MedDELError("the site's sources are missing", ROOT / "docs", "build it in a clone of the repository")
    if missing := [name for name in ("sphinx", "myst_nb", "pydata_sphinx_theme") if find_spec(name) is None]:
        raise MedDELError(f"not installed: {', '.join(missing)}", fix="run make setup")
    empty = not target.exists() or (target.is_dir() and not any(target.iterdir()))
    if not empty and not all((target / name).is_file() for name in ("index.html", "searchindex.js")):
        raise MedDELError("there is something else than a site", target, "give another --target")


def _sphinx(source: Path, made: Path, work: Path, strict: bool) -> None:
    """Run Sphinx in a process of its own: it imports all modules, and none may ask for a GPU or a hub."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-d", str(work / "doctrees"), "-q"]
    command += ["--fail-on-warning"] if strict else []
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    run = subprocess.run([*command, str(source), str(made)], env=environment, stderr=subprocess.PIPE, text=True)
    said = run.stderr.replace(f"{source}{os.sep}", "").strip()
    if said:
        print(said, file=sys.stderr)
    if run.returncode:
        last = said.splitlines()[-1] if said else f"exit code {run.returncode}"
        raise MedDELError(f"Sphinx stopped: {last}", fix="see its messages above")


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 a problem, 130 interrupted."""
    parser = argparse.ArgumentParser("python -m compendium.site")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of a finished run (default: out)")
    parser.add_argument("--target", type=Path, help="folder of the site, replaced as a whole (default: OUT/site)")
    given = parser.parse_args(arguments)
    return exit_code("compendium.site", lambda: print(build(given.out, given.target or given.out / "site")))


if __name__ == "__main__":
    sys.exit(main())
