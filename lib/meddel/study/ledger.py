"""The ledger: finished cells as small files that travel from machine to machine, so that none is computed twice.

A folder with three files for each seed: ``seed-0.scores.parquet`` (every score of every finished cell) and
``seed-0.images.parquet`` (pixel counts per test image), each row with the cell's *recipe*; and ``seed-0.json``, from
the recipe to the provenance (version, commit, machine, seconds) of the scores and of the encoder's pre-training. A
study that `restore` is called on finds the cells of its own recipe done; all others it computes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from meddel import artefacts
from meddel.config import Head, Run
from meddel.errors import MedDELError
from meddel.segment import IMAGES_SCHEMA, SCORES_SCHEMA
from meddel.study.cell import is_scored, read_pretraining, scores_path, write_recipe
from meddel.study.grid import Cell
from meddel.study.recipe import recipe
from meddel.study.run import every_job

Job = tuple[Cell, str, Head]
_SCHEMAS = {"scores": SCORES_SCHEMA, "images": IMAGES_SCHEMA}


def keep(run: Run, jobs: Iterable[Job], folder: Path) -> int:
    """Write the finished ones of `jobs` to the ledger in `folder`, beside those that it holds.

    Returns
    -------
    int
        How many were new.

    Raises
    ------
    MedDELError
        A file of the ledger can't be read, or can't be written.
    """
    count = 0
    for seed, mine in _by_seed(jobs).items():
        made, tables = _read(folder, seed)
        fresh = {}
        for job in mine:
            name, path = recipe(run, *job), scores_path(run, *job)
            if name not in made and is_scored(path, name):
                fresh[name] = path
        if fresh:
            parts = {kind: [table] for kind, table in tables.items()}
            for name, path in fresh.items():
                known = {"scores": artefacts.read_provenance(path), "pretraining": read_pretraining(path)}
                made[name] = {step: entry and entry.model_dump(mode="json") for step, entry in known.items()}
                for kind in _SCHEMAS:
                    table = pq.read_table(path.with_name(f"{kind}.parquet"))
                    parts[kind].append(table.append_column("recipe", pa.array([name] * len(table), pa.string())))
            _write(folder, seed, made, {kind: pa.concat_tables(tables) for kind, tables in parts.items()})
            count += len(fresh)
    return count


def restore(run: Run, jobs: Iterable[Job], folder: Path) -> int:
    """Put those of `jobs` that the ledger in `folder` holds, and the run does not, into the run's folder.

    Returns
    -------
    int
        How many were restored; 0 for a folder without a ledger.

    Raises
    ------
    MedDELError
        A file of the ledger can't be read.
    """
    count = 0
    for seed, mine in _by_seed(jobs).items():
        made, tables = _read(folder, seed)
        for job in mine if made else ():
            name, path = recipe(run, *job), scores_path(run, *job)
            if name in made and not is_scored(path, name):
                for kind, table in tables.items():
                    part = table.filter(pc.equal(table["recipe"], name)).drop_columns("recipe")
                    artefacts.write_table(path.with_name(f"{kind}.parquet"), part)
                artefacts.write_json(artefacts.provenance_path(path), made[name]["scores"])
                pretraining = made[name]["pretraining"]
                write_recipe(path, name, pretraining and artefacts.Provenance(**pretraining))
                count += 1
    return count


@contextmanager
def taken(run: Run, folder: Path | None) -> Iterator[None]:
    """Restore the run's cells from the ledger in `folder`, and keep there what the block has finished, come what may.

    Says how many. Without a folder it does nothing.

    Raises
    ------
    MedDELError
        As for `restore` and `keep`.
    """
    if folder is None:
        yield
        return
    jobs = every_job(run)
    print(f"{restore(run, jobs, folder)} of {len(jobs)} cells taken from {folder}", flush=True)
    try:
        yield
    finally:
        print(f"{keep(run, jobs, folder)} new cells kept in {folder}", flush=True)


def provenance(run: Run, jobs: Iterable[Job], folder: Path) -> list[dict[str, Any]]:
    """Return what the ledger in `folder` knows of those of `jobs` that it holds.

    Returns
    -------
    list of dict
        The provenance of ``scores`` and of ``pretraining``; the latter is None for the encoder without pre-training,
        and the same for all cells of one encoder.
    """
    found = []
    for seed, mine in _by_seed(jobs).items():
        made, _ = _read(folder, seed)
        found += [made[name] for name in (recipe(run, *job) for job in mine) if name in made]
    return found


def _by_seed(jobs: Iterable[Job]) -> dict[int, list[Job]]:
    found: dict[int, list[Job]] = {}
    for job in jobs:
        found.setdefault(job[0].seed, []).append(job)
    return found


def _read(folder: Path, seed: int) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """Return the seed's provenance by recipe and its tables, without rows of a `keep` that was cut off."""
    path = folder / f"seed-{seed}.json"
    if not path.is_file():
        empty = {
            kind: schema.append(pa.field("recipe", pa.string())).empty_table() for kind, schema in _SCHEMAS.items()
        }
        return {}, empty
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        tables = {kind: pq.read_table(folder / f"seed-{seed}.{kind}.parquet") for kind in _SCHEMAS}
    except (OSError, ValueError, pa.ArrowException) as error:
        raise MedDELError("the ledger can't be read", path, "take it from the project again, or delete it") from error
    named = pa.array(list(made), pa.string())
    return made, {kind: table.filter(pc.is_in(table["recipe"], named)) for kind, table in tables.items()}


def _write(folder: Path, seed: int, made: dict[str, Any], tables: dict[str, pa.Table]) -> None:
    # The provenance comes last: what it does not name is not looked for in the tables.
    for kind, table in tables.items():
        artefacts.write_table(folder / f"seed-{seed}.{kind}.parquet", table)
    artefacts.write_json(folder / f"seed-{seed}.json", made)
