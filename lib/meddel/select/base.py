"""What a selector is, and the register of their names.

A selector is a function ``select(embeddings, index, budget, rng, **settings)``. It ranks *all* images once, first to
keep first, and keeps the first `budget` of the ranking. Its result is a table of `SELECTION_SCHEMA`, one row an image
in the row order of the index, which says of every image why it stayed or went. The rules, which
`meddel.select.contract` checks:

- it keeps just `budget` images, none twice and none that is not in the index;
- the same seed gives the same selection, and no other source of chance is used or changed;
- it does not depend on the order of the rows (ids break ties), or it is registered with ``invariant=False``;
- it works with one image, with equal images and with float16, and changes nothing that it was given.

Most rankings do not depend on the budget, so that a smaller selection lies inside a larger one (5 % inside 10 %); a
selector for which that does not hold says so.

To add your own, decorate it, in a notebook too; it may return just the ids to keep, best first, and the reasons of the
others or None (see `meddel.select.adapter.as_selection`)::

    @selectors.register("mine")
    def mine(embeddings, index, budget, rng):
        ids = sorted(index["id"].to_pylist())
        return [ids[place] for place in rng.permutation(len(ids))[:budget]], None

    selectors.contract.require(mine)

A package offers one by an entry point (see `meddel.select.plugins`). A new one of this library goes to a file of its
own, which ``meddel/selectors/__init__.py`` imports.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from meddel.errors import MedDELError
from meddel.select import plugins
from meddel.select.adapter import adapted
from meddel.select.inputs import budget_for, check_budget, check_embeddings
from meddel.select.table import SELECTION_SCHEMA, selection, write_kept_csv

__all__ = [
    "SELECTION_SCHEMA",
    "Selector",
    "budget_for",
    "check_budget",
    "check_embeddings",
    "get",
    "is_invariant",
    "names",
    "register",
    "selection",
    "settings_of",
    "source_of",
    "write_kept_csv",
]


class Selector(Protocol):
    """``select(embeddings, index, budget, rng, **settings) -> selection``.

    Parameters
    ----------
    embeddings : float16, float32 or float64 [n, d]
    index : pyarrow.Table
        n rows with ``id`` (unique) and ``path``.
    budget : int
        Number of images to keep, from 1 to n: met exactly.
    rng : numpy.random.Generator
        The only source of chance.
    """

    def __call__(
        self, embeddings: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator, **settings: Any
    ) -> pa.Table: ...


@dataclass(frozen=True)
class _Known:
    """A registered selector; `built_in` if it is this library's."""

    select: Callable[..., pa.Table]
    invariant: bool
    built_in: bool


S = TypeVar("S", bound=Callable[..., Any])
_SELECTORS: dict[str, _Known] = {}
_NAME, _TAKEN = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*"), ("all", "none")


def register(name: str, *, invariant: bool = True) -> Callable[[S], S]:
    """Return a decorator that makes a selector known as `name` and returns it as it is.

    A name of this library can't be taken; one's own is replaced, as when a cell of a notebook runs again.

    Parameters
    ----------
    name : str
        Lower-case letters and digits, with single hyphens, underscores or dots between them.
    invariant : bool
        Whether the selection is the same in whatever order the rows come.

    Raises
    ------
    MedDELError
        The name is taken or not of that kind, or what is decorated is no function.
    """

    def add(selector: S) -> S:
        known = _SELECTORS.get(name)
        if known is not None and known.built_in:
            raise MedDELError(f"there is a selector {name!r} already", fix="choose another name")
        if not _NAME.fullmatch(name) or name in _TAKEN:
            fix = "use lower-case letters, digits and single hyphens, and neither all nor none"
            raise MedDELError(f"{name!r} can't name a selector", fix=fix)
        if not callable(selector):
            raise MedDELError(f"a {type(selector).__name__} is no selector", repr(name), "give a function")
        built_in = str(getattr(selector, "__module__", None)).rpartition(".")[0] == __package__
        _SELECTORS[name] = _Known(selector if built_in else adapted(selector, name), invariant, built_in)
        return selector

    return add


def names() -> tuple[str, ...]:
    """Return the names of all selectors, sorted: this library's, one's own, and those of installed packages."""
    plugins.load(_offer)
    return tuple(sorted(_SELECTORS))


def get(name: str) -> Selector:
    """Return the selector `name`; one that is not this library's as `meddel.select.adapter.adapted` makes it.

    Raises
    ------
    MedDELError
        There is none of that name, or the package that offers it can't be loaded.
    """
    return _known(name).select


def is_invariant(name: str) -> bool:
    """Tell whether the selector `name` promises the same selection in whatever order the rows come."""
    return _known(name).invariant


def settings_of(name: str) -> tuple[str, ...]:
    """Return the names of the settings that the selector `name` takes beyond the four that all take."""
    parameters = inspect.signature(get(name)).parameters.values()
    return tuple(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)


def source_of(name: str) -> str:
    """Return the source text of one's own selector, by which a changed one is told; "" for this library's.

    What a selector calls is not in it.
    """
    known = _known(name)
    if known.built_in:
        return ""
    try:
        return inspect.getsource(inspect.unwrap(known.select))
    except (OSError, TypeError):
        return repr(known.select)


def _known(name: str) -> _Known:
    if name not in _SELECTORS:
        plugins.load(_offer)
    if name not in _SELECTORS:
        trouble = plugins.why_broken(name)
        what = f"unknown selector {name!r}" if trouble is None else f"the selector {name!r} can't be loaded: {trouble}"
        raise MedDELError(what, fix=f"choose one of {', '.join(sorted(_SELECTORS))}")
    return _SELECTORS[name]


def _offer(name: str, selector: Callable[..., Any]) -> None:
    """Register the selector of an entry point, unless its module did so itself or a person has one of that name."""
    if name not in _SELECTORS or _SELECTORS[name].built_in:
        register(name)(selector)
