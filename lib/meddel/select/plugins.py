"""Selectors of other installed packages, found by the entry point group ``meddel.select``.

A package offers one in its pyproject.toml::

    [project.entry-points."meddel.select"]
    mine = "my_package.my_module:select"
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import metadata
from typing import Any

GROUP = "meddel.select"
_LOG = logging.getLogger("meddel")
_tried: set[tuple[str, str]] = set()
_broken: dict[str, str] = {}


def load(add: Callable[[str, Callable[..., Any]], None]) -> None:
    """Load the entry points that were not tried before and hand each to `add`.

    One that fails is left out with a warning of one line, so that it can't be in the way of the others.

    Parameters
    ----------
    add : callable
        Gets a name and a selector, and may refuse it by an exception.
    """
    for point in metadata.entry_points(group=GROUP):
        if (point.name, point.value) in _tried:
            continue
        _tried.add((point.name, point.value))
        try:
            add(point.name, point.load())
        except (Exception, SystemExit) as error:  # whatever a foreign module does when it is imported
            said = " ".join(str(error).split()) or "no reason given"
            _broken[point.name] = f"{type(error).__name__}: {said}"
            _LOG.warning("the selector %s of %s is left out: %s", point.name, point.value, _broken[point.name])


def why_broken(name: str) -> str | None:
    """Return why the entry point `name` could not be loaded, or None if there was no such trouble."""
    return _broken.get(name)
