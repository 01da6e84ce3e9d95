"""Run the notebooks with papermill, in order, each only once: what ``meddel run`` and ``make study`` do."""

from __future__ import annotations

import functools
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

import meddel_kernels
from compendium.notebook import check_types
from meddel import artefacts
from meddel.errors import MedDELError
from meddel.memory import ChildrenPeak

RUN_PARAMETERS = frozenset({"profile", "seed", "seeds", "data", "out", "selectors"})
"""What every run gives to all notebooks, whether a notebook takes it or not."""


_NOTEBOOK_LINK = re.compile(r"\]\(([\w.-]+)\.ipynb\)")


def notebooks() -> list[Path]:
    """Return the notebooks in order, from the installed package or from the source tree.

    Raises
    ------
    MedDELError
        Neither place has them.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "notebooks", package.parents[1] / "notebooks"):
        if found := sorted(folder.glob("[0-9][0-9]_*.ipynb")):
            return found
    raise MedDELError("the notebooks are missing", package, "install meddel again")


def chosen(only: str | None) -> list[Path]:
    """Return the notebooks whose names hold `only`; all of them for None.

    Raises
    ------
    MedDELError
        No name holds it.
    """
    found = [path for path in notebooks() if only is None or only in path.stem]
    if not found:
        names = ", ".join(path.stem for path in notebooks())
        raise MedDELError(f"no notebook is called {only!r}", fix=f"choose among {names}")
    return found


def parameters_for(notebook: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `values` that the notebook takes, checked against its tagged cell.

    Raises
    ------
    MedDELError
        A value is not of the type that the notebook states, or its name is neither stated there nor a run's.
    """
    stated = papermill.inspect_notebook(str(notebook))
    types = {name: entry["inferred_type_name"] for name, entry in stated.items()}
    for name in values:
        if name not in types and name not in RUN_PARAMETERS:
            raise MedDELError(f"unknown parameter {name!r}", notebook.stem, f"choose among {', '.join(types)}")
    check_types(types, values)
    return {name: value for name, value in values.items() if name in types}


def execute(notebook: Path, values: Mapping[str, Any], out: Path) -> bool:
    """Execute one notebook into ``out/notebooks`` and render it as HTML, unless that was done before.

    Returns
    -------
    bool
        Whether it ran. It runs again if its source, its parameters, the data's folder or the library changed.

    Raises
    ------
    MedDELError
        A cell failed or its kernel died; the notebook as far as it came is kept for reading. Or `out` can't be written.
    """
    target = out / "notebooks" / notebook.name
    page = target.with_suffix(".html")
    parameters = parameters_for(notebook, values)
    data = artefacts.hash_of_listing(Path(parameters["data"])) if parameters.get("data") else ""
    key = artefacts.hash_of("notebook", notebook.read_bytes(), parameters, data, library_hash())
    if artefacts.is_finished(page, key):
        return False
    with artefacts.recorded(page, key, parameters=parameters, seed=values.get("seed")) as meter:
        with ChildrenPeak() as kernel:
            _papermill(notebook, target, parameters)
        meter.child(kernel.bytes)
        artefacts.write_text(page, _as_html(nbformat.read(target, as_version=4)))
    return True


def _as_html(executed: NotebookNode) -> str:
    """Render an executed notebook; its links to other notebooks lead to their pages."""
    for cell in executed.cells:
        if cell.cell_type == "markdown":
            cell.source = _NOTEBOOK_LINK.sub(r"](\1.html)", cell.source)
    return HTMLExporter(embed_images=True).from_notebook_node(executed)[0]


def _papermill(notebook: Path, target: Path, parameters: Mapping[str, Any]) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        papermill.execute_notebook(
            str(notebook),
            str(target),
            dict(parameters),
            kernel_name="python3",
            progress_bar=False,
            extra_arguments=["--log-level=40"],  # the kernel's errors, not its advice
        )
    except PapermillExecutionError as error:
        reason = error.evalue if error.ename == MedDELError.__name__ else f"{error.ename}: {error.evalue}"
        place = f"{notebook.stem}, cell {error.exec_count}"
        raise MedDELError(
            f"{place}: {reason}", target, "see the notebook there; run the same again to go on"
        ) from error
    except RuntimeError as error:  # nbclient's DeadKernelError
        raise MedDELError(
            f"{notebook.stem}: {error}", target, "free some memory or take a smaller profile; run the same again"
        ) from error
    except OSError as error:
        raise artefacts.unwritable(target, error) from error


def run_notebooks(values: Mapping[str, Any], out: Path, only: str | None = None) -> None:
    """Execute the notebooks whose names hold `only` (default: all), saying what goes on; all are checked first."""
    # A kernel inherits this: its bars belong on the terminal, and not into the notebook's page.
    os.environ.setdefault("MEDDEL_PROGRESS", os.ttyname(2) if sys.stderr.isatty() else "0")
    todo = chosen(only)
    for notebook in todo:
        parameters_for(notebook, values)
    start = time.perf_counter()
    for number, notebook in enumerate(todo, 1):
        before = time.perf_counter()
        print(f"[{number:2d}/{len(todo)}] {notebook.stem} ...", end="", flush=True)
        try:
            ran = execute(notebook, values, out)
        except BaseException:
            print(flush=True)  # what is said next begins its own line
            raise
        print(f" {time.perf_counter() - before:.0f} s" if ran else " done before", flush=True)
    print(f"{len(todo)} notebooks in {time.perf_counter() - start:.0f} s")


@functools.cache
def library_hash() -> str:
    """Return a hash of the library's source, so that a notebook is run again after the code below it changed."""
    roots = [Path(__file__).resolve().parent, Path(meddel_kernels.__file__).resolve().parent]
    files = sorted(path for root in roots for path in root.rglob("*.py"))
    return artefacts.hash_of(*(path.read_bytes() for path in files))
