"""``check("name", function)``: run a participant's function beside the library's and answer in one short message.

The library computes what is expected at that moment, from the same inputs; no number is typed in. A participant gives
the function and not its result, so that neither a number read elsewhere nor a stub passes.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from meddel.errors import MedDELError

HINT_AFTER = 2
_FEW, _LONGEST = 8, 60
_FAILURES: Counter[str] = Counter()


def _call(function: Callable[..., Any], *inputs: Any) -> Any:
    return function(*inputs)


@dataclass(frozen=True)
class Task:
    """One thing to check.

    `expected` is the library's answer to the inputs of a case, and `cases` returns a list of such inputs. `run` calls a
    participant's function in a way of its own, such as a kernel's. `hint` is for those who failed twice.
    """

    expected: Callable[..., Any]
    cases: Callable[[], list[tuple[Any, ...]]]
    hint: str
    run: Callable[..., Any] = _call


class NotYet(MedDELError):
    """A check that did not pass. In a notebook it shows its one line instead of a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def check(name: str, value: Callable[..., Any]) -> None:
    """Compare a participant's function with the library's: print that it is right, or raise.

    Parameters
    ----------
    name : str
        Of the check, as the notebook gives it.
    value : callable
        The function itself, without brackets.

    Raises
    ------
    NotYet
        It is not written yet, it ends with an error, or it returns something else than the library's. From the second
        failure of a check on, the message ends with a hint.
    """
    task = _find(name)
    if not callable(value):
        raise _failed(name, task, f"give the function itself, not {shown(value)}")
    compared = ""
    for inputs in task.cases():
        expected = task.expected(*copy.deepcopy(inputs))
        try:
            yours = task.run(value, *copy.deepcopy(inputs))
        except NotImplementedError as error:
            raise _failed(name, task, f"not written yet ({error})") from None
        except Exception as error:  # a person's code: whatever it raises is the answer
            raise _failed(name, task, f"your code ends with {type(error).__name__}: {error}") from error
        found = difference(yours, expected)
        if found is not None:
            given = ", ".join(map(shown, inputs))
            case = f" (for {given})" if inputs and len(given) <= _LONGEST else ""
            raise _failed(name, task, f"not yet; yours {found[0]}, expected {found[1]}{case}")
        compared = f"yours {shown(yours)}, expected {shown(expected)}"
    print(f"{name}: right; {compared}")


def tasks() -> dict[str, Task]:
    """Return all tasks by name."""
    from compendium.workshop import exercises, gpu_exercises

    return exercises.TASKS | gpu_exercises.TASKS


def _find(name: str) -> Task:
    known = tasks()
    if name not in known:
        raise MedDELError(f"there is no check {name!r}", fix=f"choose among {', '.join(sorted(known))}")
    return known[name]


def _failed(name: str, task: Task, message: str) -> NotYet:
    _FAILURES[name] += 1
    return NotYet(f"{name}: {message}", fix=f"hint: {task.hint}" if _FAILURES[name] >= HINT_AFTER else None)


def difference(yours: Any, expected: Any, tolerance: float = 1e-6) -> tuple[str, str] | None:
    """Return how two values differ, as short text for each, or None if they agree.

    Tuples and lists are compared part by part, numbers and arrays within `tolerance`, and everything else as equal.
    """
    if isinstance(expected, tuple | list):
        yours = yours.tolist() if isinstance(yours, np.ndarray) and yours.ndim else yours
        if not isinstance(yours, tuple | list) or len(yours) != len(expected):
            return f"{type(yours).__name__}: {shown(yours)}", f"{len(expected)} parts: {shown(expected)}"
        parts = (difference(*pair, tolerance) for pair in zip(yours, expected, strict=True))
        return next((found for found in parts if found is not None), None)
    if isinstance(expected, str):
        return None if isinstance(yours, str) and yours == expected else (shown(yours), expected)
    try:
        ours, theirs = np.asarray(yours), np.asarray(expected)
    except ValueError:  # rows of several lengths
        return shown(yours), shown(expected)
    if ours.dtype.kind not in "biuf":
        return f"{type(yours).__name__} {shown(yours)}", shown(expected)
    if ours.shape != theirs.shape:
        return f"{shown(yours)} of shape {ours.shape}", f"shape {theirs.shape}"
    if theirs.dtype == bool and ours.dtype != bool:
        return f"values of type {ours.dtype}", "true or false"
    wrong = ~np.isclose(ours.astype(float), theirs.astype(float), rtol=tolerance, atol=tolerance, equal_nan=True)
    if not wrong.any():
        return None
    place = tuple(int(one) for one in np.argwhere(wrong)[0])
    where = f" at {list(place)}, the first of {wrong.sum()} places that differ" if place else ""
    return shown(ours[place]), f"{shown(theirs[place])}{where}"


def shown(value: Any) -> str:
    """Return a value as text of at most some sixty characters, a sentence as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, float | np.floating):
        text = f"{value:.6g}"
    elif isinstance(value, np.ndarray):
        text = np.array2string(value, precision=4, separator=", ", threshold=_FEW).replace("\n", "")
    elif isinstance(value, tuple | list):
        opening, closing = ("(", ")") if isinstance(value, tuple) else ("[", "]")
        text = f"{opening}{', '.join(shown(one) for one in value)}{closing}"
    else:
        text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
