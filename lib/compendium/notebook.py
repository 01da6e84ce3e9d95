"""How each notebook begins and ends: parameters checked before anything runs, verdicts written at the end.

papermill only warns about a misspelt parameter and turns ``-p flag true`` into a string; `begin` refuses both.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from compendium import claims, tables
from compendium.tables import Rendered
from meddel import artefacts, config
from meddel.config import Run
from meddel.errors import MedDELError

# Libraries import tqdm's notebook bars, which ask for a package that a page without widgets has no use for.
warnings.filterwarnings("ignore", message="IProgress not found")

# What IPython itself puts into a notebook's namespace without an underscore.
_IPYTHON = frozenset({"In", "Out", "get_ipython", "exit", "quit", "open"})


def begin(names: Mapping[str, Any]) -> Run:
    """Check a notebook's parameters and return its run. Call it as ``begin(globals())`` right after them.

    Parameters
    ----------
    names : mapping
        The notebook's global names. The annotated assignments of the tagged cell (``seed: int = 0``) are the
        parameters; among them ``profile``, ``seed``, ``data`` and ``out``.

    Returns
    -------
    Run
        Profile, seed, data, folder and device.

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
    check_types(annotations, names)
    wanted = {name: names[name] for name in ("seed", "seeds", "data", "out") if name in annotations}
    return config.run(names["profile"], **wanted)


def check_types(types: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Refuse the first of `values` that is not of its annotated type; an int passes for a float, a bool not for an int.

    `types` maps names to classes, or to their names as a notebook's source spells them.
    """
    for name, annotation in types.items():
        if name not in values:
            continue
        kind, value = getattr(annotation, "__name__", str(annotation)), values[name]
        found = type(value).__name__
        if found != kind and not (kind == "float" and found == "int"):
            raise MedDELError(f"parameter {name}={value!r} is {found}", fix=f"give a value of type {kind}")


def conclude(run: Run, section: str, ours: Mapping[str, tuple[str, str]]) -> Rendered:
    """Set our results beside the claims of `section`, and keep the table for the report.

    Parameters
    ----------
    run : Run
        The notebook's run.
    section : str
        Section of the paper, such as ``"3.2"``.
    ours : mapping
        Claim's key to (our result as text, verdict), see `compendium.claims.compare`.

    Returns
    -------
    Rendered
        claim, published, ours, verdict.
    """
    table = claims.compare(section, ours)
    artefacts.write_json(run.out / "verdicts" / f"section-{section}.json", table.to_dict("records"))
    return tables.comparison(table, name="verdict", title=f"Section {section}: published, ours, verdict")
