"""Find the files of ``data_manifests``: facts on data sets, and the tables that the paper prints.

They are at the top of the source tree, and in a wheel inside the package (``meddel/data_manifests``).
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from meddel.errors import MedDELError


@functools.cache
def folder() -> Path:
    """Return the folder ``data_manifests``, from the installed package or from the source tree."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "data_manifests", package.parents[1] / "data_manifests"):
        if candidate.is_dir():
            return candidate
    raise MedDELError("the data manifests are missing", package, "install meddel again")


def path(name: str) -> Path:
    """Return the path of one file of ``data_manifests``, such as ``"local_sets.json"``; refuse paths outside."""
    found = folder() / name
    if not found.is_file() or not found.resolve().is_relative_to(folder().resolve()):
        raise MedDELError(f"no manifest {name!r}", folder(), "install meddel again")
    return found


def read_json(name: str) -> Any:
    """Return the content of the JSON file `name` of ``data_manifests``."""
    return json.loads(path(name).read_text(encoding="utf-8"))


@functools.cache
def known_sets() -> dict[str, dict[str, str | None]]:
    """Return ``modality`` and ``role`` of each set of a known name, local sets and DataDEL's.

    A role is ``pretraining``, ``downstream``, ``other`` (takes no part), or None where it depends on whether there are
    masks. All endoscopy, capsules too, is one modality.
    """
    roles = {"pre-training": "pretraining", "downstream": "downstream", "beyond": None}
    known: dict[str, dict[str, str | None]] = {}
    for part in read_json("datadel.json")["hasPart"]:
        facts = read_json(f"datadel/{part['name']}.json")
        modality = "endoscopy" if "endoscopy" in facts["del:modality"] else facts["del:modality"]
        known[part["name"]] = {"role": roles[facts["del:division"]], "modality": modality}
    known["kvasir-sessile"]["role"] = "other"  # is inside Kvasir-SEG, and would be counted twice
    return known | read_json("local_sets.json")["sets"]
