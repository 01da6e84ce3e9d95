"""The results record: what the project keeps of a run, small and readable, and what its README shows of it."""

from __future__ import annotations

import json
from pathlib import Path

from meddel import artefacts, evidence, figures, tables
from meddel.errors import MedDELError
from meddel.report import scores

_BEGIN, _END = "<!-- results: {name} -->", "<!-- end of results -->"


def record(out: Path, folder: Path, command: str) -> list[Path]:
    """Write the record of the run in `out` into `folder`.

    Parameters
    ----------
    out : Path
        A run's folder, its study finished.
    folder : Path
        Gets ``scores.csv`` (`evidence.final_scores`: the test split at the last epoch), ``results.md`` (the NormDEL
        table and how it was made), ``segmentation_<head>.png`` (Fig. 4) and ``provenance.json``.
    command : str
        What a person types to get it again.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    MedDELError
        The study has not been run in `out`.
    """
    table = scores(out)
    made = _made(out)
    drawn = {head: figures.fig4(table, head) for head in sorted(set(table["head"].to_pylist()))}
    last = evidence.final_scores(table).sort_values(["set", "head", "selector", "ratio", "seed"])
    artefacts.write_text(folder / "scores.csv", last.round(6).to_csv(index=False, lineterminator="\n"))
    artefacts.write_json(folder / "provenance.json", {"command": command, **made})
    text = (
        f"`{command}`, version {made['version']}, commit {made['commit']}, on {made['machine']} ({made['device']}); "
        f"the study's cells took {made['seconds'] / 60:.0f} minutes.\n\n"
        f"```text\n{tables.normdel_text(table).strip()}\n```\n"
    )
    artefacts.write_text(folder / "results.md", text)
    pictures = []
    for head, figure in drawn.items():
        [picture, vector] = figures.save(figure, folder, f"segmentation_{head}", dpi=110)
        vector.unlink()
        pictures.append(picture)
    return [folder / "scores.csv", folder / "provenance.json", folder / "results.md", *pictures]


def insert(readme: str, name: str, results: str) -> str:
    """Return the README's text with `results` between the marks of the record `name`.

    Raises
    ------
    MedDELError
        The marks are missing.
    """
    begin = _BEGIN.format(name=name)
    before, found, rest = readme.partition(begin)
    _, closed, after = rest.partition(_END)
    if not (found and closed):
        raise MedDELError(f"no place for the results {name!r}", "README.md", f"write {begin} and {_END} into it")
    return f"{before}{begin}\n{results.strip()}\n{_END}{after}"


def _made(out: Path) -> dict[str, object]:
    """Version, commit, machine and device of the cells, and the seconds that all of them took."""
    paths = sorted(out.glob("study/seed-*/*/*/*.json"))
    known = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    if not known:
        raise MedDELError("the run holds no finished cell", out / "study", "run meddel run first")
    facts = {
        key: ", ".join(sorted({entry[key] for entry in known})) for key in ("version", "commit", "machine", "device")
    }
    return {**facts, "seconds": round(sum(entry["seconds"] for entry in known)), "cells": len(known)}
