"""The study's encoders, shared by the workers of a cluster: a task trains one, and scores it on every set.

A task makes the files that one process would make, in the run's folder, which all workers see; `meddel.study.run_study`
then finds everything done. Scores are the same, too, where the profile states its `threads`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

import torch
from distributed import Client, Future

from meddel import artefacts, study
from meddel import select as selectors
from meddel.config import Head, Run
from meddel.progress import progress
from meddel.scale.cluster.shared import RETRIES, check_workers, finished
from meddel.scale.cluster.tasks import see_data
from meddel.study import Cell
from meddel.study.cell import hardness, is_scored, scores_path

Job = tuple[Cell, str, Head]


class Encoder(NamedTuple):
    """One encoder of the study, and what it is to be scored on.

    Attributes
    ----------
    cell : Cell
    on : list of tuple
        Downstream sets and heads.
    """

    cell: Cell
    on: list[tuple[str, Head]]


def missing(run: Run, jobs: Iterable[Job]) -> list[Encoder]:
    """Return the encoders that lack a score of some jobs (`meddel.study.jobs`), and what they are to be scored on."""
    found: dict[Cell, Encoder] = {}
    for cell, name, head in jobs:
        if not is_scored(scores_path(run, cell, name, head), study.recipe(run, cell, name, head)):
            on = found.setdefault(cell, Encoder(cell, [])).on
            if (name, head) not in on:
                on.append((name, head))
    return list(found.values())


def compute_study(run: Run, client: Client, jobs: Iterable[Job]) -> int:
    """Compute what is missing of some jobs of the study by a cluster's workers, each encoder by one of them.

    The encoder of a seed's whole pool comes first, as it embeds what the others select from. A worker that has a GPU
    computes on it. Work that was cut off goes on from the files in the run's folder.

    Parameters
    ----------
    run : Run
        All workers see its folders, of the data and for the output, at the same paths.
    client : Client
        From `meddel.scale.cluster.connect`.
    jobs : iterable of (Cell, str, Head)
        From `meddel.study.jobs`.

    Returns
    -------
    int
        How many encoders were trained or scored.

    Raises
    ------
    MedDELError
        As `meddel.study.run_study`; a worker does not see the folders (it is named), or the scheduler is lost.
    """
    run = run.model_copy(update={"out": run.out.resolve(), "data": run.data and run.data.resolve()})
    study.study_pixels(run)  # one process indexes and decodes, before several read
    encoders = missing(run, jobs)
    for name in dict.fromkeys(encoder.cell.selector for encoder in encoders):
        if name not in ("none", "all") and selectors.source_of(name):
            selectors.contract.require(selectors.get(name), invariant=selectors.is_invariant(name))
    data = run.out / "data" if run.data is None else run.data
    check_workers(client, see_data, str(run.out), str(data), artefacts.hash_of_listing(data))
    futures = _submitted(run, client, encoders)
    with progress(what="study", total=len(encoders), unit="encoder") as bar:
        for encoder, _ in finished(client, futures):
            bar.update(bool(encoder.on))
    return len(encoders)


def train(run: Run, encoder: Encoder, after: int | None = None) -> int:
    """Train an encoder and score it, and return how many scores it has.

    Parameters
    ----------
    run : Run
    encoder : Encoder
    after : int or None
        What came of the task that has to be finished before.
    """
    mine = _on_this_worker(run)
    return sum(len(study.scores(mine, encoder.cell, name, head)) for name, head in encoder.on)


def train_whole(run: Run, encoder: Encoder, others: list[str]) -> int:
    """Train and score the encoder of a seed's whole pool, and make what these other selectors work on."""
    count, mine = train(run, encoder), _on_this_worker(run)
    if others:
        study.store(mine, encoder.cell.seed)
    if any("errors" in selectors.settings_of(name) for name in others):
        hardness(mine, encoder.cell.seed)
    return count


def _submitted(run: Run, client: Client, encoders: list[Encoder]) -> dict[Future, Encoder]:
    """Begin the tasks, one an encoder, those of a seed's whole pool before the others of that seed."""
    futures: dict[Future, Encoder] = {}
    for seed in dict.fromkeys(encoder.cell.seed for encoder in encoders):
        mine = [encoder for encoder in encoders if encoder.cell.seed == seed]
        whole = next((encoder for encoder in mine if encoder.cell == study.whole_pool(seed)), None)
        others = sorted({encoder.cell.selector for encoder in mine} - {"none", "all"})
        first = None
        if whole is not None or others:
            whole = whole or Encoder(study.whole_pool(seed), [])
            first = client.submit(train_whole, run, whole, others, pure=False, retries=RETRIES, priority=1)
            futures[first] = whole
        for encoder in mine:
            if encoder.cell != study.whole_pool(seed):
                after = None if encoder.cell.selector == "none" else first
                futures[client.submit(train, run, encoder, after, pure=False, retries=RETRIES)] = encoder
    return futures


def _on_this_worker(run: Run) -> Run:
    """Return the run on this worker's GPU, if it has one; its bars would come among those of the others."""
    os.environ["MEDDEL_PROGRESS"] = "0"
    return run.model_copy(update={"device": "cuda" if torch.cuda.is_available() else "cpu"})
