"""The results record: the small, readable part of a run that the project keeps and its pages show."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pyarrow as pa
from nbformat import NotebookNode

from compendium import figures, published, report, tables
from compendium.composition import composition
from meddel import artefacts, evidence, wording
from meddel.config import Head, Run
from meddel.errors import MedDELError
from meddel.evidence import verdicts
from meddel.study import Cell, equal_epochs_cells, jobs, ledger, probe_heads, run_study, shorter_cells
from meddel.study.grid import every_job

_BEGIN, _END = "<!-- results: {name} -->", "<!-- end of results -->"
_FIGURE = re.compile(r'<img alt="([^"]*)" src="data:image/png;base64,[^"]+">')


def insert(page: str, name: str, results: str) -> str:
    """Return a page's text with `results` between the marks of the record `name`."""
    begin = _BEGIN.format(name=name)
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(_END)
    if not (found and closed):
        raise MedDELError(f"no place for the results {name!r}", fix=f"write {begin} and {_END} into the page")
    return f"{before}{begin}\n{results.strip()}\n{_END}{after}"


def record(run: Run, folder: Path, command: str) -> list[Path]:
    """Write the record of a finished study, and return the files written without the ledger's.

    Parameters
    ----------
    run : Run
        Its study is finished.
    folder : Path
        Gets ``cells/`` (`meddel.study.ledger`), ``scores.csv`` (test split, last epoch), ``verdicts.csv``,
        ``summary.md`` (for a page), ``results.md`` (in full), ``segmentation_<head>.png`` (Fig. 4) and
        ``provenance.json``; ``trainings.csv`` and ``composition.csv`` where they were computed.
    command : str
        What a person types to get it again.
    """
    table = report.scores(run.out)
    known = every_job(run)
    ledger.save(run, known, folder / "cells")
    made = _made(ledger.provenance(run, known, folder / "cells"))
    drawn = {head: figures.fig4(table, head) for head in sorted(set(table["head"].to_pylist()))}
    last = evidence.final_scores(table).sort_values(["set", "head", "selector", "ratio", "seed"])
    frames = {
        "scores": last,
        "verdicts": verdicts.verdicts(evidence.with_mean_of_sets(last), published.meddel_leads()),
        "trainings": _trainings(run, last),
        "composition": composition(run),
    }
    written = []
    for name, frame in frames.items():
        if len(frame):
            artefacts.write_text(folder / f"{name}.csv", frame.round(6).to_csv(index=False, lineterminator="\n"))
            written.append(folder / f"{name}.csv")
    how = (
        f"`{command}`, version {made['version']}, on {made['machine']} ({made['device']}); pre-training and segmenting "
        f"took {made['seconds'] / 3600:.1f} hours of one process.\n"
    )
    results = f"{how}\n```text\n{tables.normdel_text(table).strip()}\n```\n"
    written += _write(folder, f"{how}\n{tables.summary_markdown(table)}", results, {"command": command, **made})
    for head, figure in drawn.items():
        [picture, vector] = figures.save(figure, folder, f"segmentation_{head}", dpi=110)
        vector.unlink()
        written.append(picture)
    return written


def record_notebook(out: Path, name: str, folder: Path, command: str) -> list[Path]:
    """Write the record of the notebook `name` of the run in `out`, and return the files written.

    ``results.md`` has all tables, printed lines and alt texts of figures, and ``summary.md`` the last table, which is
    the verdict. Figures are left out: they may show images of the data.
    """
    executed = out / "notebooks" / f"{name}.ipynb"
    known = artefacts.read_provenance(executed.with_suffix(".html"))
    if known is None or not executed.is_file():
        raise MedDELError("the notebook was not run to its end", executed, f"meddel run --only {name}")
    shown, texts = _shown(nbformat.read(executed, as_version=4))
    if not shown:
        raise MedDELError("the notebook shows no table", executed, "record another one")
    made = {key: getattr(known, key) for key in ("version", "commit", "machine", "device", "seconds")}
    made["parameters"] = {key: value for key, value in known.parameters.items() if key not in ("data", "out")}
    took = wording.duration(known.seconds)
    how = f"`{command}`, version {known.version}, on {known.machine} ({known.device}), in {took}."
    provenance = {"command": command, "notebook": name, **made}
    return _write(folder, f"{how}\n\n{shown[-1]}\n", "\n\n".join([how, *texts]) + "\n", provenance)


def _write(folder: Path, summary: str, results: str, provenance: dict[str, Any]) -> list[Path]:
    """Write what every record has, and return the paths."""
    artefacts.write_text(folder / "summary.md", summary)
    artefacts.write_text(folder / "results.md", results)
    artefacts.write_json(folder / "provenance.json", provenance)
    return [folder / name for name in ("provenance.json", "results.md", "summary.md")]


def _trainings(run: Run, last: pd.DataFrame) -> pd.DataFrame:
    """Return what the full pre-training brings over each shorter one that was computed."""
    full = evidence.with_mean_of_sets(last)
    parts = [
        evidence.between_trainings(full, evidence.with_mean_of_sets(evidence.final_scores(scores))).assign(against=name)
        for name, scores in _shorter(run)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _shorter(run: Run) -> Iterator[tuple[str, pa.Table]]:
    """Yield the scores of the grids of shorter pre-trainings, as far as they were computed, by name."""
    grids: list[tuple[str, list[Cell], tuple[Head, ...] | None]] = [
        ("equal epochs", equal_epochs_cells(run), probe_heads(run)),
        *(
            (f"{share:.0%} of the compute", [cell for cell in shorter_cells(run) if cell.compute == share], None)
            for share in run.profile.compute_shares
        ),
    ]
    for name, grid, only in grids:
        missing = ledger.missing(run, jobs(run, grid, only))
        if done := [cell for cell in grid if cell not in missing]:
            yield name, run_study(run, done, only)


def _made(known: list[dict[str, Any]]) -> dict[str, Any]:
    """Return version, commit, machine and device of the cells, and their seconds, each encoder counted once."""
    steps = {entry["scores"]["key"]: entry["scores"] for entry in known}
    steps |= {entry["pretraining"]["key"]: entry["pretraining"] for entry in known if entry["pretraining"]}
    facts = {
        name: ", ".join(sorted({step[name] for step in steps.values()}))
        for name in ("version", "commit", "machine", "device")
    }
    return {**facts, "seconds": round(sum(step["seconds"] for step in steps.values())), "cells": len(known)}


def _shown(notebook: NotebookNode) -> tuple[list[str], list[str]]:
    """Return the tables of an executed notebook; and all that it has shown, in order, as text."""
    shown, texts = [], []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if output.output_type == "stream" and output.name == "stdout":
                texts.append(f"```text\n{output.text.strip()}\n```")
            elif "text/markdown" in data and data["text/markdown"].lstrip().startswith("**"):
                shown.append(data["text/markdown"].strip())
                texts.append(shown[-1])
            elif found := _FIGURE.fullmatch(data.get("text/html", "")):
                texts.append(f"*Figure.* {html.unescape(found[1])}")
    return shown, texts
