"""The rules for selectors, which studies rely on: check them on thirty images, and whenever one's own selector runs.

What passes can still be a bad selector; what fails would make a result depend on luck or on the order of files.
"""

from __future__ import annotations

import functools
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.random import Generator

from meddel.artefacts import hash_of
from meddel.errors import MedDELError
from meddel.images.index import from_rows
from meddel.select.pool import check_budget, check_embeddings, rows_by_id
from meddel.select.table import SELECTION_SCHEMA, selection

_N = 30
_FIX = "see the rules in meddel.select.registry"


def check(select: Callable[..., Any], *, invariant: bool = True) -> list[str]:
    """Return the rules which a selector breaks, a sentence each; none if it keeps them all.

    Where not even its budgets and ids are right, that is the only sentence.

    Parameters
    ----------
    select : callable
        ``select(embeddings, index, budget, rng)``, which returns what `as_selection` takes.
    invariant : bool
        Whether it has to give the same selection in whatever order the rows come.
    """
    found = []
    for occasion, rule in _RULES.items():
        if rule is _order_of_rows and not invariant:
            continue
        try:
            sentence = rule(select)
        except MedDELError as error:
            sentence = error.what
        except Exception as error:  # a person's code: whatever it raises is the answer
            sentence = f"it ends with {type(error).__name__}: {error}"
        if sentence:
            found.append(f"{occasion}: {sentence}")
            if occasion == _BUDGETS:
                break
    return found


def require(select: Callable[..., Any], *, invariant: bool = True) -> None:
    """Refuse a selector which breaks a rule, by one line with the sentences of `check`."""
    broken = check(select, invariant=invariant)
    if broken:
        name = getattr(select, "__name__", type(select).__name__)
        raise MedDELError("; ".join(broken), f"selector {name!r}", _FIX)


def adapted(select: Callable[..., Any], name: str) -> Callable[..., pa.Table]:
    """Return one's own selector with its input and output checked; it can only read the embeddings."""

    @functools.wraps(select)
    def checked(embeddings: np.ndarray, index: pa.Table, budget: int, rng: Generator, **settings: Any) -> pa.Table:
        check_embeddings(embeddings, index)
        check_budget(budget, index.num_rows)
        seen = np.asarray(embeddings).view()
        seen.flags.writeable = False
        try:
            result = select(seen, index, budget, rng, **settings)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise MedDELError("it changes the embeddings", f"selector {name!r}", "work on a copy of them") from error
        return as_selection(result, index, budget, name)

    return checked


def as_selection(result: Any, index: pa.Table, budget: int, name: str) -> pa.Table:
    """Return a selector's result as a selection, or refuse it by a sentence which names the broken rule.

    Parameters
    ----------
    result : pyarrow.Table or (ids, reasons)
        A whole selection; or the `budget` ids to keep, best first, and why others are deleted: a dictionary by id, or
        None. An image without a reason was ``not drawn``.
    name : str
        The selector's name, for errors.
    """
    if isinstance(result, tuple) and len(result) == 2:
        broken = _broken_pair(*result, index, budget)
    elif isinstance(result, pa.Table):
        broken = _broken_table(result, index, budget)
    else:
        broken = f"it returns {type(result).__name__}, neither a selection nor a pair (ids, reasons)"
    if broken is not None:
        raise MedDELError(broken, f"selector {name!r}", _FIX)
    if isinstance(result, pa.Table):
        return result
    ids, why = index["id"].to_pylist(), result[1] or {}
    place, by_id = {image: row for row, image in enumerate(ids)}, rows_by_id(index)
    kept = np.array([place[image] for image in _listed(result[0])])
    reason = np.array([why.get(image, "not drawn") for image in ids], object)
    return selection(index, np.concatenate([kept, by_id[~np.isin(by_id, kept)]]), budget, reason=reason)


def _broken_table(table: pa.Table, index: pa.Table, budget: int) -> str | None:
    """Return the first rule which a table breaks."""
    if not table.schema.equals(SELECTION_SCHEMA):
        return "its table has other columns than SELECTION_SCHEMA"
    if not table["id"].combine_chunks().equals(index["id"].combine_chunks().cast(pa.string())):
        return "the ids of its table are not those of the index in the same order"
    if any(table[field.name].null_count for field in SELECTION_SCHEMA if not field.nullable):
        return "its table has no value where one must be"
    rank, kept = table["rank"].to_numpy(), table["kept"].to_numpy()
    if not np.array_equal(np.sort(rank), np.arange(index.num_rows)):
        return f"its ranks are not the numbers from 0 to {index.num_rows - 1}, each once"
    if kept.sum() != budget:
        return f"it keeps {kept.sum()} images for a budget of {budget}"
    if not np.array_equal(kept, rank < budget):
        return "the images that it keeps are not those of the first ranks"
    if not np.array_equal(kept, table["reason"].to_numpy() == "kept"):
        return "the reason is not 'kept' for just the images that it keeps"
    return None


def _broken_pair(ids: Any, reasons: Any, index: pa.Table, budget: int) -> str | None:
    """Return the first rule which ids to keep and reasons break."""
    if isinstance(ids, str) or not isinstance(ids, Sequence | np.ndarray | pa.Array | pa.ChunkedArray):
        return f"the ids to keep are a {type(ids).__name__}, not a sequence of ids"
    known, listed = set(index["id"].to_pylist()), _listed(ids)
    foreign = [one for one in listed if not isinstance(one, str) or one not in known]
    if foreign:
        return f"it keeps {foreign[0]!r}, which is no id of the index"
    twice = [one for one, times in Counter(listed).items() if times > 1]
    if twice:
        return f"it keeps {twice[0]!r} twice"
    if len(listed) != budget:
        return f"it keeps {len(listed)} images for a budget of {budget}"
    if reasons is not None and not isinstance(reasons, Mapping):
        return f"the reasons are a {type(reasons).__name__}, not a dictionary or None"
    odd = [one for one in (reasons or {}).values() if not isinstance(one, str) or one in ("", "kept")]
    return f"it gives {odd[0]!r} as a reason to delete an image" if odd else None


def _listed(ids: Any) -> list[Any]:
    return ids.to_pylist() if isinstance(ids, pa.Array | pa.ChunkedArray) else list(ids)


def _run(select: Callable[..., Any], x: np.ndarray, budget: int, *, rows: Any = None, seed: int = 0) -> pa.Table:
    """Select from images with the embeddings `x`, two videos and stills of two sources, in the order `rows`."""
    facts = {"path": "/images/0.png", "width": 64, "height": 64, "sha256": "0" * 64}
    images = [{**facts, "id": f"source-{row % 2}/{row:03d}", "source": f"source-{row % 2}"} for row in range(len(x))]
    for row in images[: 2 * len(x) // 3]:
        row.update(video="video", frame=int(row["id"][-3:]))
    index = from_rows(images)
    if rows is not None:
        x, index = x[rows], index.take(pa.array(rows))
    return adapted(select, "under test")(x, index, budget, np.random.default_rng(seed))


def _embeddings() -> np.ndarray:
    """Return float32 [30, 8] in five groups; the last five rows equal the first."""
    rng = np.random.default_rng(11)
    x = 3 * rng.normal(size=(5, 8))[np.arange(_N) % 5] + rng.normal(size=(_N, 8))
    x[_N - 5 :] = x[:5]
    return x.astype(np.float32)


def _runs(*cases: tuple[np.ndarray, int]) -> Callable[[Callable[..., Any]], None]:
    """Return the rule that a selector works with each of some embeddings and budgets."""

    def rule(select: Callable[..., Any]) -> None:
        for x, budget in cases:
            _run(select, x, budget)

    return rule


def _seeded(select: Callable[..., Any]) -> str | None:
    one, other = (_run(select, _embeddings(), 10, seed=5) for _ in range(2))
    return None if one.equals(other) else "it gives two selections; take all chance from rng"


def _global_chance(select: Callable[..., Any]) -> str | None:
    generators = {
        "random": (random.getstate, random.setstate, random.random),
        "numpy": (np.random.mtrand.get_state, np.random.mtrand.set_state, np.random.mtrand.random_sample),
    }
    if torch := sys.modules.get("torch"):
        generators["torch"] = (
            lambda: torch.get_rng_state().numpy(),
            lambda state: torch.set_rng_state(torch.from_numpy(state)),
            lambda: torch.rand(1),
        )
    saved = {name: read() for name, (read, _, _) in generators.items()}
    try:
        for _, _, draw in generators.values():
            draw()  # a selector which seeds them would else find them as the runs before left them
        before = {name: hash_of(read()) for name, (read, _, _) in generators.items()}
        _run(select, _embeddings(), 10)
        changed = [name for name, (read, _, _) in generators.items() if hash_of(read()) != before[name]]
    finally:
        for name, (_, put_back, _) in generators.items():
            put_back(saved[name])
    return f"it uses or changes those of {', '.join(changed)}; take all chance from rng" if changed else None


def _order_of_rows(select: Callable[..., Any]) -> str | None:
    columns, shuffled = ["id", "kept", "rank"], np.random.default_rng(1).permutation(_N)
    one = _run(select, _embeddings(), 10).select(columns)
    other = _run(select, _embeddings(), 10, rows=shuffled).select(columns)
    same = one.equals(other.sort_by("id"))
    return None if same else "it selects others; let ids break ties, or register it with invariant=False"


_BUDGETS = "with 30 images and budgets from 1 to 30"
_RULES = {
    _BUDGETS: _runs(*((_embeddings(), budget) for budget in (1, 2, _N // 3, _N - 1, _N))),
    "with the same seed twice": _seeded,
    "with the global random numbers watched": _global_chance,
    "with one image": _runs((np.ones((1, 8), np.float32), 1)),
    "with equal images": _runs(*((np.full((20, 8), 0.1, np.float32), budget) for budget in (1, 7, 20))),
    "with float16 and float64": _runs(*((_embeddings().astype(kind), 10) for kind in (np.float16, np.float64))),
    "with the rows in another order": _order_of_rows,
}
