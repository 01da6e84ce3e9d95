"""The notebooks: what their cells call at the begin and the end, and how they are found and executed.

Parameters are checked before anything runs: papermill only warns about a misspelt one, and turns ``-p flag true`` into
a string.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pandas as pd
import papermill
from matplotlib.figure import Figure
from nbconvert import HTMLExporter
from papermill.exceptions import PapermillExecutionError

from compendium import claims, tables
from compendium.figures import style
from compendium.generated import with_data
from compendium.tables import Rendered
from meddel import artefacts, config
from meddel.config import Run
from meddel.errors import MedDELError
from meddel.resources import ChildrenPeak

# Libraries import tqdm's notebook bars, which ask for a package that a page without widgets has no use for.
warnings.filterwarnings("ignore", message="IProgress not found")

RUN_PARAMETERS = frozenset({"profile", "seed", "seeds", "data", "out", "selectors"})
"""The parameters that every run gives to all notebooks, whether a notebook takes them or not."""

_IPYTHON = frozenset({"In", "Out", "get_ipython", "exit", "quit", "open"})  # its own names without an underscore
_PACKAGES = ("compendium", "datadel", "endosim", "meddel", "meddel_kernels")
_NOTEBOOK_LINK = re.compile(r"\]\((?:[\w./-]*/)?([\w.-]+)\.ipynb\)")


def begin(names: Mapping[str, Any]) -> Run:
    """Check a notebook's parameters and return its run. Call it as ``begin(globals())`` right after them.

    Parameters
    ----------
    names : mapping
        The notebook's global names. The annotated assignments of the tagged cell (``seed: int = 0``) are the
        parameters; among them ``profile``, ``seed``, ``data`` and ``out``.

    Raises
    ------
    MedDELError
        A name that is no parameter was injected, or a value is not of the annotated type.
    """
    annotations = dict(names.get("__annotations__", {}))
    for name, value in names.items():
        if name.startswith("_") or name in _IPYTHON or isinstance(value, ModuleType) or value is begin:
            continue
        if name not in annotations:
            raise MedDELError(f"unknown parameter {name!r}", fix=f"choose among {', '.join(annotations)}")
    _check_types(annotations, names)
    wanted = {name: names[name] for name in ("seed", "seeds", "data", "out") if name in annotations}
    return with_data(config.run(names["profile"], **wanted))


def conclude(run: Run, section: str, ours: Mapping[str, tuple[str, str | bool]]) -> Rendered:
    """Show our results beside the claims of a section, such as ``"3.2"``, and keep the table for the report.

    `ours` maps a claim's key to (our result as text, verdict), see `compendium.claims.compare`.
    """
    table = claims.compare(section, ours)
    artefacts.write_json(run.out / "verdicts" / f"section-{section}.json", table.to_dict("records"))
    return tables.comparison(table, name="verdict", title=f"Section {section}: published, ours, verdict")


def show(run: Run, shown: Figure | Rendered | pd.DataFrame, name: str, **options: Any) -> Figure | Rendered:
    """Save a figure or a table under `name` in the run's folder, and return it for the notebook to display.

    `options` render a data frame (`tables.comparison`).
    """
    if isinstance(shown, pd.DataFrame):
        shown = tables.comparison(shown, name=name, **options)
    if isinstance(shown, Rendered):
        shown.save(run.out / "tables", name)
    else:
        style.save(shown, run.out / "figures", name)
    return shown


def folder() -> Path:
    """Return the folder of the notebooks, from the installed package or from the source tree."""
    package = Path(__file__).resolve().parent
    for found in (package / "notebooks", package.parents[1] / "notebooks"):
        if any(found.glob("[0-9][0-9]_*.ipynb")):
            return found
    raise MedDELError("the notebooks are missing", package, "install meddel again")


def chosen(only: str | None = None) -> list[Path]:
    """Return the notebooks whose names contain `only`: the paper's in order, then those beyond it; all for None."""
    paths = [path for part in (folder(), folder() / "beyond") for path in sorted(part.glob("[0-9][0-9]_*.ipynb"))]
    found = [path for path in paths if only is None or only in path.stem]
    if not found:
        names = ", ".join(path.stem for path in paths)
        raise MedDELError(f"no notebook is called {only!r}", fix=f"choose among {names}")
    return found


def parameters_for(notebook: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `values` that the notebook takes, checked against its tagged cell."""
    stated = papermill.inspect_notebook(str(notebook))
    types = {name: entry["inferred_type_name"] for name, entry in stated.items()}
    for name in values:
        if name not in types and name not in RUN_PARAMETERS:
            raise MedDELError(f"unknown parameter {name!r}", notebook.stem, f"choose among {', '.join(types)}")
    _check_types(types, values)
    return {name: value for name, value in values.items() if name in types}


def _check_types(types: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Refuse the first value that is not of its annotated type; an int passes for a float, a bool not for an int."""
    for name, annotation in types.items():
        if name not in values:
            continue
        kind, value = getattr(annotation, "__name__", str(annotation)), values[name]
        found = type(value).__name__
        if found != kind and not (kind == "float" and found == "int"):
            raise MedDELError(f"parameter {name}={value!r} is {found}", fix=f"give a value of type {kind}")


def run_notebooks(values: Mapping[str, Any], out: Path, only: str | None = None) -> None:
    """Execute the notebooks whose names contain `only`, and print what goes on; all are checked first."""
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
            print(flush=True)  # what is printed next begins its own line
            raise
        print(f" {time.perf_counter() - before:.0f} s" if ran else " done before", flush=True)
    print(f"{len(todo)} notebooks in {time.perf_counter() - start:.0f} s")


def execute(notebook: Path, values: Mapping[str, Any], out: Path) -> bool:
    """Execute one notebook into ``out/notebooks`` and render it as HTML, unless that was done before.

    It runs again if its source, its parameters, the data's folder or the library changed. A notebook that fails is kept
    as far as it came. Return whether it ran.
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
        executed = nbformat.read(target, as_version=4)
        for cell in executed.cells:
            if cell.cell_type == "markdown":
                cell.source = _NOTEBOOK_LINK.sub(r"](\1.html)", cell.source)
        artefacts.write_text(page, HTMLExporter(embed_images=True).from_notebook_node(executed)[0])
    return True


def _papermill(notebook: Path, target: Path, parameters: Mapping[str, Any]) -> None:
    quiet = {"progress_bar": False, "extra_arguments": ["--log-level=40"]}  # the kernel's errors, not its advice
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        papermill.execute_notebook(str(notebook), str(target), dict(parameters), kernel_name="python3", **quiet)
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


@functools.cache
def library_hash() -> str:
    """Return a hash of the source of all packages, so that a notebook is run again after the code below it changed."""
    roots = [Path(importlib.import_module(name).__file__ or "").resolve().parent for name in _PACKAGES]
    files = sorted(path for root in roots for path in root.rglob("*.py"))
    return artefacts.hash_of(*(path.read_bytes() for path in files))
