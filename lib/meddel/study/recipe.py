"""What decides a score of the study, known before anything is computed: the identity of a finished cell.

The chain of artefacts has keys of its own, each made from the bytes that went in. A *recipe* is made from the settings
and the data at the chain's beginning, so that a score can be known again without the encoder that it came from: on
another machine, or after a folder was tidied. It does not hold the library's version, which is kept beside the score.
"""

from __future__ import annotations

import functools

from meddel import artefacts
from meddel import select as selectors
from meddel.config import Head, Run
from meddel.images import index
from meddel.study.data import labelled, pool, roles, study_index
from meddel.study.grid import Cell


def recipe(run: Run, cell: Cell, set_name: str, head: Head) -> str:
    """Return the hash (64 hexadecimal digits) of all that decides the scores of `cell` on `set_name` under `head`.

    Settings of the encoder, its pre-training, the selection and the head; the seed; the pool's images, those of every
    downstream set (the others are transferred to), and their splits.
    """
    profile = run.profile
    pretraining: object = None
    if cell.selector != "none":
        settings = profile.pretrain.model_dump(mode="json", exclude={"checkpoint_seconds"})
        pretraining = [settings, cell.compute, pool(run, cell.seed).data_hash, _selection(run, cell)]
    segmentation = [profile.segment.model_dump(mode="json", exclude={"heads"}), head, set_name]
    sets = [_set_hash(run, name, cell.seed) for name in roles(run)[1]]
    return artefacts.hash_of("recipe", profile.encoder, cell.seed, pretraining, segmentation, sets)


def _selection(run: Run, cell: Cell) -> object:
    if cell.selector == "all":
        return "all"
    source = selectors.source_of(cell.selector)
    return [cell.selector, source, cell.ratio, selection_settings(run, cell.selector), run.profile.embedder]


def selection_settings(run: Run, selector: str) -> dict[str, object]:
    """Return the profile's settings for MedDEL and its kin; other selectors keep the defaults of their papers."""
    taken = selectors.settings_of(selector) if selector.startswith("meddel") else ()
    return {name: value for name, value in run.profile.select.model_dump().items() if name in taken}


@functools.lru_cache(maxsize=64)
def _set_hash(run: Run, name: str, seed: int) -> str:
    table = study_index(run)
    rows, parts = labelled(run, table, name, seed)
    return artefacts.hash_of(name, index.data_hash(table.take(rows)), parts.tolist())
