"""``check("name", function)``: run a participant's function beside the library's and answer in one short message.

What is expected is computed by the library at that moment, from the same inputs; nothing is typed in. Functions are
given, not results, so that a number that somebody read elsewhere does not pass, and neither does a stub.
"""

from __future__ import annotations

import copy
import importlib
import pkgutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from compendium.workshop import exercises
from compendium.workshop.comparing import Difference, difference, shown
from meddel.errors import MedDELError

HINT_AFTER = 2
_SHORT = 60


def _call(function: Callable[..., Any], *inputs: Any) -> Any:
    return function(*inputs)


@dataclass(frozen=True)
class Check:
    """One thing that is checked.

    Attributes
    ----------
    name : str
        What ``check`` is called with.
    expected : callable
        The library's answer to the inputs of a case.
    cases : callable
        Gives the cases: a list of tuples of inputs.
    hint : str
        A sentence for who failed twice.
    run : callable
        ``run(function, *inputs)`` gives the participant's answer; by default it calls the function.
    tolerance : float
        Within which numbers agree.
    """

    name: str
    expected: Callable[..., Any]
    cases: Callable[[], list[tuple[Any, ...]]]
    hint: str
    run: Callable[..., Any] = _call
    tolerance: float = 1e-6


class NotYet(MedDELError):
    """A check that did not pass. In a notebook it shows its one line instead of a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


_FAILURES: Counter[str] = Counter()


def check(name: str, value: Callable[..., Any]) -> None:
    """Hold a participant's function against the library, print that it is right, or raise.

    Parameters
    ----------
    name : str
        Of the check, as the notebook gives it.
    value : callable
        The function itself, without brackets.

    Raises
    ------
    NotYet
        It is not written yet, it ends with an error, or it gives something else than the library. From the second
        failure of the same check on, the message ends with a hint.
    MedDELError
        There is no such check.
    """
    task = _find(name)
    if not callable(value):
        raise _failed(task, f"{name}: give the function itself, not {shown(value)}")
    compared = ""
    for inputs in task.cases():
        expected = task.expected(*copy.deepcopy(inputs))
        try:
            yours = task.run(value, *copy.deepcopy(inputs))
        except NotImplementedError as error:
            raise _failed(task, f"{name}: not written yet ({error})") from None
        except Exception as error:  # a person's code: whatever it raises is the answer
            raise _failed(task, f"{name}: your code ends with {type(error).__name__}: {error}") from error
        found = difference(yours, expected, task.tolerance)
        if found is not None:
            raise _failed(task, _message(name, inputs, found))
        compared = f"yours {shown(yours)}, expected {shown(expected)}"
    print(f"{name}: right; {compared}")


def names() -> tuple[str, ...]:
    """Return the names of all checks, sorted."""
    return tuple(sorted(_all()))


def _message(name: str, inputs: tuple[Any, ...], found: Difference) -> str:
    given = ", ".join(shown(one) for one in inputs)
    case = f" (for {given})" if inputs and len(given) <= _SHORT else ""
    return f"{name}: not yet; yours {found.yours}, expected {found.expected}{case}"


def _failed(task: Check, message: str) -> NotYet:
    _FAILURES[task.name] += 1
    return NotYet(message, fix=f"hint: {task.hint}" if _FAILURES[task.name] >= HINT_AFTER else None)


def _find(name: str) -> Check:
    known = _all()
    if name not in known:
        raise MedDELError(f"there is no check {name!r}", fix=f"choose among {', '.join(sorted(known))}")
    return known[name]


def _all() -> dict[str, Check]:
    return {task.name: task for module in _modules() for task in module.CHECKS}


def _modules() -> list[ModuleType]:
    found = [f"{exercises.__name__}.{one.name}" for one in pkgutil.iter_modules(exercises.__path__)]
    return [importlib.import_module(name) for name in found]
