"""The names of the selectors, and what a selector is.

A selector is a function ``select(embeddings, index, budget, rng, **settings)``. It ranks *all* images once, the first
to keep first, and keeps the first `budget` of them. `meddel.select.contract` checks the rules:

- it keeps just `budget` images, none twice and none which is not in the index;
- the same seed gives the same selection, and no other source of chance is used or changed;
- it does not depend on the order of the rows (ids break ties), or it is registered with ``invariant=False``;
- it works with one image, with equal images and with float16, and changes nothing that it was given.

To add your own, decorate it, in a notebook too. It may return a table of `SELECTION_SCHEMA`, or just the ids to keep,
best first, and the reasons of the others or None::

    from meddel import select

    @select.register("mine")
    def mine(embeddings, index, budget, rng):
        ids = sorted(index["id"].to_pylist())
        return [ids[place] for place in rng.permutation(len(ids))[:budget]], None

    select.contract.require(mine)

A package offers a selector by an entry point in its pyproject.toml::

    [project.entry-points."meddel.select"]
    mine = "my_package.my_module:select"
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeVar

import pyarrow as pa

from meddel.errors import MedDELError
from meddel.select.contract import adapted

GROUP = "meddel.select"
S = TypeVar("S", bound=Callable[..., Any])
_LOG = logging.getLogger("meddel")
_NAME, _RESERVED = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*"), ("all", "none")


@dataclass(frozen=True)
class _Known:
    """A registered selector; `built_in` if it is this library's."""

    select: Callable[..., pa.Table]
    invariant: bool
    built_in: bool


_SELECTORS: dict[str, _Known] = {}
_tried: set[tuple[str, str]] = set()
_broken: dict[str, str] = {}


def register(name: str, *, invariant: bool = True) -> Callable[[S], S]:
    """Return a decorator which makes a selector known as `name` and returns it as it is.

    A name of this library can't be taken; one's own is replaced, as when a cell of a notebook runs again.

    Parameters
    ----------
    name : str
        Lower-case letters and digits, with single hyphens, underscores or dots between them.
    invariant : bool
        Whether the selection is the same in whatever order the rows come.
    """

    def add(selector: S) -> S:
        known = _SELECTORS.get(name)
        if known is not None and known.built_in:
            raise MedDELError(f"there is a selector {name!r} already", fix="choose another name")
        if not _NAME.fullmatch(name) or name in _RESERVED:
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
    _load_entry_points()
    return tuple(sorted(_SELECTORS))


def get(name: str) -> Callable[..., pa.Table]:
    """Return the selector `name`; one's own is checked whenever it runs."""
    return _known(name).select


def is_invariant(name: str) -> bool:
    """Return whether the selector `name` promises the same selection in whatever order the rows come."""
    return _known(name).invariant


def settings_of(name: str) -> tuple[str, ...]:
    """Return the names of the settings which the selector `name` takes beyond the four that all take."""
    parameters = inspect.signature(get(name)).parameters.values()
    return tuple(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)


def source_of(name: str) -> str:
    """Return the source text of one's own selector, without what it calls; "" for this library's."""
    known = _known(name)
    if known.built_in:
        return ""
    try:
        return inspect.getsource(inspect.unwrap(known.select))
    except (OSError, TypeError):
        return repr(known.select)


def _known(name: str) -> _Known:
    if name not in _SELECTORS:
        _load_entry_points()
    if name not in _SELECTORS:
        what = f"unknown selector {name!r}"
        if name in _broken:
            what = f"the selector {name!r} can't be loaded: {_broken[name]}"
        raise MedDELError(what, fix=f"choose one of {', '.join(sorted(_SELECTORS))}")
    return _SELECTORS[name]


def _load_entry_points() -> None:
    """Register the selectors of installed packages which were not tried before; warn of each which fails.

    One which its module registered itself, or of whose name there is one's own, is left alone.
    """
    for point in metadata.entry_points(group=GROUP):
        if (point.name, point.value) in _tried:
            continue
        _tried.add((point.name, point.value))
        try:
            selector = point.load()
            if point.name not in _SELECTORS or _SELECTORS[point.name].built_in:
                register(point.name)(selector)
        except (Exception, SystemExit) as error:  # whatever a foreign module does when it is imported
            said = " ".join(str(error).split()) or "no reason given"
            _broken[point.name] = f"{type(error).__name__}: {said}"
            _LOG.warning("the selector %s of %s is left out: %s", point.name, point.value, _broken[point.name])
