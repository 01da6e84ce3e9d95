"""The record of a study: its finished cells, scores, verdicts and figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from compendium import figures, report, tables, verdicts
from meddel import artefacts, evidence
from meddel.config import Head, Run
from meddel.study import Cell, composition, equal_epochs_cells, frozen, ledger, run_study, shorter_cells
from meddel.study.run import every_job, is_finished


def record(run: Run, folder: Path, command: str) -> list[Path]:
    """Write the record of a run into `folder`.

    Parameters
    ----------
    run : Run
        Its study finished.
    folder : Path
        Gets ``cells/`` (`meddel.study.ledger`: every finished cell); ``scores.csv`` (`evidence.final_scores`: the test
        split at the last epoch); ``verdicts.csv``; ``summary.md`` (`tables.summary_markdown` and how it was made, for a
        README); ``results.md`` (`tables.results_text`, the same in full); ``segmentation_<head>.png`` (Fig. 4)
        and ``provenance.json``. Where they were computed, ``trainings.csv`` (what the full pre-training brings over
        equal epochs and over Table 4's shorter ones, `evidence.between_trainings`) and ``composition.csv``
        (`study.composition`, of the selections that were made in this run's folder).
    command : str
        What a person types to get it again.

    Returns
    -------
    list of Path
        The files written, without the ledger's.

    Raises
    ------
    MedDELError
        The study has not been run.
    """
    table = report.scores(run.out)
    jobs = every_job(run)
    ledger.keep(run, jobs, folder / "cells")
    made = _made(ledger.provenance(run, jobs, folder / "cells"))
    drawn = {head: figures.fig4(table, head) for head in sorted(set(table["head"].to_pylist()))}
    last = evidence.final_scores(table).sort_values(["set", "head", "selector", "ratio", "seed"])
    judged = verdicts.verdicts(evidence.with_mean_of_sets(last))
    frames = {"scores": last, "verdicts": judged}
    if len(shorter := _trainings(run, last)):
        frames["trainings"] = shorter
    if len(composed := composition(run)):
        frames["composition"] = composed
    for name, frame in frames.items():
        artefacts.write_text(folder / f"{name}.csv", frame.round(6).to_csv(index=False, lineterminator="\n"))
    artefacts.write_json(folder / "provenance.json", {"command": command, **made})
    how = (
        f"`{command}`, version {made['version']}, on {made['machine']} ({made['device']}); pre-training and segmenting "
        f"took {made['seconds'] / 3600:.1f} hours of one process.\n"
    )
    artefacts.write_text(folder / "summary.md", f"{how}\n{tables.summary_markdown(table)}")
    artefacts.write_text(folder / "results.md", f"{how}\n```text\n{tables.results_text(table).strip()}\n```\n")
    pictures = []
    for head, figure in drawn.items():
        [picture, vector] = figures.save(figure, folder, f"segmentation_{head}", dpi=110)
        vector.unlink()
        pictures.append(picture)
    names = [*(f"{name}.csv" for name in frames), "provenance.json", "results.md", "summary.md"]
    return [*(folder / name for name in names), *pictures]


def _trainings(run: Run, last: pd.DataFrame) -> pd.DataFrame:
    """What the full pre-training brings over each shorter one that was computed, on every set and their mean."""
    full = evidence.with_mean_of_sets(last)
    parts = [
        evidence.between_trainings(full, evidence.with_mean_of_sets(evidence.final_scores(scores))).assign(against=name)
        for name, scores in _shorter(run)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _shorter(run: Run) -> Iterator[tuple[str, pa.Table]]:
    """The scores of the grids of shorter pre-trainings, as far as they were computed, by name."""
    grids: list[tuple[str, list[Cell], tuple[Head, ...] | None]] = [
        ("equal epochs", equal_epochs_cells(run), frozen(run)),
        *(
            (f"{share:.0%} of the compute", [cell for cell in shorter_cells(run) if cell.compute == share], None)
            for share in run.profile.compute_shares
        ),
    ]
    for name, grid, only in grids:
        if done := [cell for cell in grid if is_finished(run, cell, only)]:
            yield name, run_study(run, done, only)


def _made(known: list[dict[str, Any]]) -> dict[str, Any]:
    """Version, commit, machine and device of the cells, and the seconds that they took, each encoder counted once."""
    steps = {entry["scores"]["key"]: entry["scores"] for entry in known}
    steps |= {entry["pretraining"]["key"]: entry["pretraining"] for entry in known if entry["pretraining"]}
    facts = {
        name: ", ".join(sorted({step[name] for step in steps.values()}))
        for name in ("version", "commit", "machine", "device")
    }
    return {**facts, "seconds": round(sum(step["seconds"] for step in steps.values())), "cells": len(known)}
