"""Compare a participant's value with the library's and say in a few words where they differ."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

_FEW, _LONGEST = 8, 60


class Difference(NamedTuple):
    """What a participant gave and what the library gives, as short text."""

    yours: str
    expected: str


def difference(yours: Any, expected: Any, tolerance: float) -> Difference | None:
    """Return how two values differ, or None if they agree.

    Parameters
    ----------
    yours, expected : any
        Numbers and arrays agree within `tolerance`, absolute and relative; sequences and tuples of them part by part;
        everything else if it is equal.
    tolerance : float
        At least 0.
    """
    if isinstance(expected, tuple | list) and (_holds_parts(expected) or not _is_numeric(expected)):
        return _in_parts(yours, expected, tolerance)
    if not _is_numeric(expected):
        return None if _equal(yours, expected) else Difference(shown(yours), shown(expected))
    if not _is_numeric(yours):
        return Difference(f"{type(yours).__name__} {shown(yours)}", shown(expected))
    ours, theirs = np.asarray(yours), np.asarray(expected)
    if ours.shape != theirs.shape:
        return Difference(f"{shown(yours)} of shape {ours.shape}", f"shape {theirs.shape}")
    if theirs.dtype == bool and ours.dtype != bool:
        return Difference(f"values of type {ours.dtype}", "true or false")
    wrong = ~np.isclose(ours.astype(float), theirs.astype(float), rtol=tolerance, atol=tolerance, equal_nan=True)
    if not wrong.any():
        return None
    if not wrong.ndim:
        return Difference(shown(yours), shown(expected))
    place = tuple(int(one) for one in np.argwhere(wrong)[0])
    where = f"at {list(place)}, the first of {wrong.sum()} places that differ"
    return Difference(shown(ours[place]), f"{shown(theirs[place])} {where}")


def shown(value: Any) -> str:
    """Return a value as text of at most some sixty characters, a sentence as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray) and value.size > _FEW:
        first = ", ".join(shown(one) for one in value.ravel()[:3])
        return f"{first}, ... (shape {value.shape})"
    if isinstance(value, np.ndarray) and value.ndim:
        text = np.array2string(value, precision=4, separator=", ").replace("\n", "")
    elif isinstance(value, float | np.floating):
        text = f"{value:.6g}"
    elif isinstance(value, np.generic):
        text = str(value.item())
    elif isinstance(value, tuple | list):
        opening, closing = ("(", ")") if isinstance(value, tuple) else ("[", "]")
        text = f"{opening}{', '.join(shown(one) for one in value)}{closing}"
    else:
        text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _is_numeric(value: Any) -> bool:
    """Tell whether a value is a number, or an array or nested list of numbers of one shape."""
    if value is None or isinstance(value, str):
        return False
    try:
        return np.asarray(value).dtype.kind in "biuf"
    except ValueError:
        return False


def _holds_parts(value: tuple[Any, ...] | list[Any]) -> bool:
    """Tell whether a sequence holds sequences, as a list of pairs does."""
    return any(isinstance(part, tuple | list | np.ndarray) for part in value)


def _in_parts(yours: Any, expected: tuple[Any, ...] | list[Any], tolerance: float) -> Difference | None:
    yours = yours.tolist() if isinstance(yours, np.ndarray) and yours.ndim else yours
    if not isinstance(yours, tuple | list) or len(yours) != len(expected):
        size = f" of {len(yours)}" if isinstance(yours, tuple | list) else ""
        return Difference(f"{type(yours).__name__}{size}: {shown(yours)}", f"{len(expected)} parts: {shown(expected)}")
    for place, (ours, theirs) in enumerate(zip(yours, expected, strict=True)):
        found = difference(ours, theirs, tolerance)
        if found is not None:
            return Difference(f"{found.yours} in part {place}", found.expected)
    return None


def _equal(yours: Any, expected: Any) -> bool:
    try:
        return bool(yours == expected)
    except (TypeError, ValueError):
        return False
