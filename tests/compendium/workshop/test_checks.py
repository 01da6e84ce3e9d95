"""`check`: its messages, its hint after the second failure, and that no stub passes."""

from __future__ import annotations

import numpy as np
import pytest

from compendium.workshop import NotYet, check, checks
from compendium.workshop.checks import difference, shown
from meddel.errors import MedDELError

NEEDS_THE_SIMULATOR = {"squared distances", "nearest centroid", "tiled cosines", "reads of the tiled cosines"}


@pytest.fixture(autouse=True)
def _a_new_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_FAILURES", checks.Counter())


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return a @ b / np.sqrt((a @ a) * (b @ b))


def test_what_is_right_is_said_with_both_values(capsys: pytest.CaptureFixture[str]) -> None:
    check("cosine", cosine)
    said = capsys.readouterr().out
    assert said.startswith("cosine: right; yours ")
    yours, expected = said.removeprefix("cosine: right; yours ").strip().split(", expected ")
    assert yours == expected


def test_what_is_wrong_names_both_values_and_the_hint_comes_second() -> None:
    messages = []
    for _ in range(3):
        with pytest.raises(NotYet) as error:
            check("cosine", lambda a, b: 2.0)
        messages.append(str(error.value))
    assert "not yet; yours 2, expected 0.96" in messages[0]
    assert "\n" not in messages[0] and len(messages[0]) < 200
    assert "hint" not in messages[0]
    assert all(checks.tasks()["cosine"].hint in message for message in messages[1:])
    with pytest.raises(NotYet) as other:
        check("cosines", lambda x: x)
    assert "hint" not in str(other.value), "failures are counted check by check"


def test_a_notebook_shows_the_message_alone() -> None:
    with pytest.raises(NotYet) as error:
        check("cosine", lambda a, b: 0.0)
    assert error.value._render_traceback_() == [str(error.value)]


@pytest.mark.parametrize("value", [..., None, 0.96, "cosine", np.float64(0.96)], ids=repr)
def test_a_number_does_not_pass(value: object) -> None:
    with pytest.raises(NotYet, match="give the function itself"):
        check("cosine", value)


@pytest.mark.parametrize("name", sorted(set(checks.tasks()) - NEEDS_THE_SIMULATOR))
def test_no_stub_passes(name: str) -> None:
    def stub(*_: object) -> object:
        raise NotImplementedError("3 lines are expected here")

    with pytest.raises(NotYet, match=r"not written yet \(3 lines are expected here\)"):
        check(name, stub)
    for empty in (lambda *_: None, lambda *_: ...):
        with pytest.raises(NotYet):
            check(name, empty)


def test_the_error_of_a_participants_code_is_told() -> None:
    with pytest.raises(NotYet, match="your code ends with ZeroDivisionError: division by zero"):
        check("cosine", lambda a, b: 1 / 0)


def test_who_changes_the_inputs_fools_nobody() -> None:
    def careless(a: np.ndarray, b: np.ndarray) -> float:
        b[:] = a
        return cosine(a, b)

    with pytest.raises(NotYet, match="yours 1, expected"):
        check("cosine", careless)


def test_an_unknown_check_names_the_known_ones() -> None:
    with pytest.raises(MedDELError, match=r"there is no check 'cosin'; choose among .*cosine"):
        check("cosin", cosine)


@pytest.mark.parametrize(
    ("yours", "expected"),
    [
        (1.0, 1.0 + 1e-9),
        (np.float32(2), 2),
        ([1.0, 2.0], np.array([1.0, 2.0])),
        ((1, [2, 3]), (1, np.array([2, 3]))),
        (np.array([np.nan, -np.inf]), np.array([np.nan, -np.inf])),
        ([(0, 1)], [(0, 1)]),
        ([], []),
        ("kept", "kept"),
        (np.bool_(True), True),
    ],
    ids=repr,
)
def test_equal_values_agree(yours: object, expected: object) -> None:
    assert difference(yours, expected) is None


@pytest.mark.parametrize(
    ("yours", "expected", "told"),
    [
        (1.0, 1.1, ("1", "1.1")),
        (np.zeros(2), np.zeros(3), ("shape (2,)", "shape (3,)")),
        (np.zeros((2, 2)), np.array([[0.0, 0], [0, 5]]), ("0", "5 at [1, 1], the first of 1 places that differ")),
        (None, 1.0, ("NoneType None", "1")),
        ([1, 0], np.array([True, False]), ("values of type int64", "true or false")),
        ([(0, 1)], [(0, 1), (2, 3)], ("[(0, 1)]", "[(0, 1), (2, 3)]")),
        ([], [(0, 1)], ("[]", "[(0, 1)]")),
        ((1, 2.0), (1, 3.0), ("2", "3")),
        ("no", "yes", ("no", "yes")),
        ({}, "yes", ("{}", "yes")),
    ],
    ids=repr,
)
def test_differences_are_told(yours: object, expected: object, told: tuple[str, str]) -> None:
    found = difference(yours, expected)
    assert found is not None
    assert told[0] in found[0] and told[1] in found[1]


def test_long_values_are_shown_short() -> None:
    for value in (np.arange(1000.0), list(range(1000)), {place: place for place in range(1000)}):
        assert len(shown(value)) < 80
