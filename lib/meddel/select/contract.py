"""Check a selector, one's own above all, against the rules that studies rely on (see `meddel.select.base`).

It takes a second at most: the data are thirty images, some of them equal. What passes here can still be a bad
selector; what fails would make a study's results depend on luck, on the order of files, or on what ran before.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from meddel.errors import MedDELError
from meddel.images.index import from_rows
from meddel.select.adapter import as_selection

_N = 30


def check(select: Callable[..., Any], *, invariant: bool = True) -> list[str]:
    """Return the rules that a selector breaks, a sentence each; none if it keeps them all.

    Where not even its budgets and ids are right, that is the only sentence: the other rules can't be judged.

    Parameters
    ----------
    select : callable
        ``select(embeddings, index, budget, rng)``. It returns a selection or a pair (ids, reasons), as
        `meddel.select.adapter.as_selection` takes it.
    invariant : bool
        Whether it has to give the same selection in whatever order the rows come.
    """
    found = []
    for occasion, rule in _RULES.items():
        sentence = _broken(rule, select) if invariant or rule is not _order_of_rows else None
        if sentence:
            found.append(f"{occasion}: {sentence}")
            if rule is _budgets:
                break
    return found


def require(select: Callable[..., Any], *, invariant: bool = True) -> None:
    """Refuse a selector that breaks a rule.

    Parameters
    ----------
    select, invariant
        As for `check`.

    Raises
    ------
    MedDELError
        The sentences of `check`, in one line.
    """
    broken = check(select, invariant=invariant)
    if broken:
        name = getattr(select, "__name__", type(select).__name__)
        raise MedDELError("; ".join(broken), f"selector {name!r}", "see the rules in meddel.select.base")


def _broken(rule: Callable[..., str | None], select: Callable[..., Any]) -> str | None:
    """Return what breaks the rule."""
    try:
        return rule(select)
    except MedDELError as error:
        return error.what
    except Exception as error:  # a person's code: whatever it raises is the answer
        return f"it ends with {type(error).__name__}: {error}"


def _index(n: int) -> pa.Table:
    """Return an index of two videos, stills and two sources."""
    facts = {"path": "/images/0.png", "width": 64, "height": 64, "sha256": "0" * 64}
    rows = [{**facts, "id": f"source-{row % 2}/{row:03d}", "source": f"source-{row % 2}"} for row in range(n)]
    for row in rows[: 2 * n // 3]:
        row.update(video="video", frame=int(row["id"][-3:]))
    return from_rows(rows)


def _embeddings(n: int) -> np.ndarray:
    """Return float32 [n, 8] in five groups; the last five rows equal the first."""
    rng = np.random.default_rng(11)
    x = 3 * rng.normal(size=(5, 8))[np.arange(n) % 5] + rng.normal(size=(n, 8))
    x[n - 5 :] = x[:5]
    return x.astype(np.float32)


def _run(select: Callable[..., Any], x: np.ndarray, index: pa.Table, budget: int, seed: int = 0) -> pa.Table:
    return as_selection(select(x, index, budget, np.random.default_rng(seed)), index, budget, "under test")


def _budgets(select: Callable[..., Any]) -> None:
    """Small and large budgets are met, by ids of the index."""
    for budget in (1, 2, _N // 3, _N - 1, _N):
        _run(select, _embeddings(_N), _index(_N), budget)


def _seeded(select: Callable[..., Any]) -> str | None:
    """Equal generators give equal selections."""
    one, other = (_run(select, _embeddings(_N), _index(_N), 10, seed=5) for _ in range(2))
    return None if one.equals(other) else "it gives two selections; take all chance from rng"


def _global_chance(select: Callable[..., Any]) -> str | None:
    """The global generators are left alone; whatever happens, they are put back."""
    generators = _generators()
    saved = {name: read() for name, (read, _, _) in generators.items()}
    try:
        for _, _, draw in generators.values():
            draw()  # who seeds them anew would else find them as the runs before left them
        before = {name: _text(read()) for name, (read, _, _) in generators.items()}
        _run(select, _embeddings(_N), _index(_N), 10)
        changed = [name for name, (read, _, _) in generators.items() if _text(read()) != before[name]]
    finally:
        for name, (_, put_back, _) in generators.items():
            put_back(saved[name])
    return f"it uses or changes those of {', '.join(changed)}; take all chance from rng" if changed else None


def _generators() -> dict[str, tuple[Callable[[], Any], Callable[[Any], None], Callable[[], Any]]]:
    """Return how to read, set and draw from the global generators that are in use."""
    legacy = np.random.mtrand
    found = {
        "random": (random.getstate, random.setstate, random.random),
        "numpy": (legacy.get_state, legacy.set_state, legacy.random_sample),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = (torch.get_rng_state, torch.set_rng_state, lambda: torch.rand(1))
    return found


def _text(state: Any) -> str:
    """Return a generator's state as text that differs where the state does."""
    if isinstance(state, tuple):
        return repr([_text(part) for part in state])
    return np.asarray(state).tobytes().hex() if hasattr(state, "shape") else repr(state)


def _inputs(select: Callable[..., Any]) -> str | None:
    """Embeddings and index stay as they are."""
    x, index = _embeddings(_N), _index(_N)
    _run(select, x, index, 10)
    same = np.array_equal(x, _embeddings(_N)) and index.equals(_index(_N))
    return None if same else "it changes the embeddings or the index; work on a copy"


def _one_image(select: Callable[..., Any]) -> None:
    """One image is kept."""
    _run(select, np.ones((1, 8), np.float32), _index(1), 1)


def _equal_images(select: Callable[..., Any]) -> None:
    """Equal images are told apart by their ids alone."""
    for budget in (1, 7, 20):
        _run(select, np.full((20, 8), 0.1, np.float32), _index(20), budget)


def _half_floats(select: Callable[..., Any]) -> None:
    """The other two types of embeddings are taken."""
    for kind in (np.float16, np.float64):
        _run(select, _embeddings(_N).astype(kind), _index(_N), 10)


def _order_of_rows(select: Callable[..., Any]) -> str | None:
    """Shuffled rows give the same ranking."""
    x, index, columns = _embeddings(_N), _index(_N), ["id", "kept", "rank"]
    shuffled = np.random.default_rng(1).permutation(_N)
    one = _run(select, x, index, 10).select(columns)
    other = _run(select, x[shuffled], index.take(pa.array(shuffled)), 10).select(columns)
    same = one.equals(other.sort_by("id"))
    return None if same else "it selects others; let ids break ties, or register it with invariant=False"


_RULES = {
    "with 30 images and budgets from 1 to 30": _budgets,
    "with the same seed twice": _seeded,
    "with the global random numbers watched": _global_chance,
    "with its inputs compared before and after": _inputs,
    "with one image": _one_image,
    "with equal images": _equal_images,
    "with float16 and float64": _half_floats,
    "with the rows in another order": _order_of_rows,
}
