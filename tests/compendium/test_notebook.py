"""Notebooks stop before they start where a parameter is unknown or ill-typed, and leave their verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compendium import notebook
from meddel import config
from meddel.errors import MedDELError

CELL = 'profile: str = "smoke"\nseed: int = 0\ndata: str = ""\nout: str = "{out}"\neta: float = 0.95'


def names_of(out: Path, *lines: str) -> dict[str, Any]:
    """The global names of a notebook after its parameters and an injected cell of `lines`."""
    names: dict[str, Any] = {"__name__": "__main__", "_": "", "In": [], "Out": {}, "get_ipython": None}
    exec("\n".join([CELL.format(out=out), "from meddel import notebook", *lines]), names)
    return names


def test_parameters_become_the_run(tmp_path: Path) -> None:
    run = notebook.begin(names_of(tmp_path, "seed = 2", 'profile = "laptop"'))
    assert run == config.run("laptop", seed=2, out=tmp_path)


def test_begin_may_be_imported_by_name(tmp_path: Path) -> None:
    assert notebook.begin(names_of(tmp_path, "from compendium.notebook import begin")).seed == 0


@pytest.mark.parametrize(("line", "said"), [
    ("sead = 1", "unknown parameter 'sead'; choose among profile, seed, data, out, eta"),
    ("seed = '1'", "parameter seed='1' is str; give a value of type int"),
    ("seed = True", "parameter seed=True is bool; give a value of type int"),
    ("seed = 1.0", "parameter seed=1.0 is float"),
    ("out = None", "parameter out=None is NoneType; give a value of type str"),
    ("eta = 'high'", "parameter eta='high' is str; give a value of type float"),
    ("profile = 'smok'", "unknown profile 'smok'"),
    ("seed = -1", "seed: Input should be greater than or equal to 0"),
    ("data = '/no/such/folder'", "no such folder"),
])  # fmt: skip
def test_a_wrong_parameter_stops_the_run(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(MedDELError) as error:
        notebook.begin(names_of(tmp_path, line))
    assert said in str(error.value)


def test_an_integer_passes_for_a_number(tmp_path: Path) -> None:
    assert notebook.begin(names_of(tmp_path, "eta = 1"))


def test_verdicts_are_kept_for_the_report(tmp_path: Path) -> None:
    run = config.run(out=tmp_path)
    shown = notebook.conclude(run, "3.2", {"pairs": ("12 pairs", "reproduced")})
    kept = json.loads((tmp_path / "verdicts" / "section-3.2.json").read_text(encoding="utf-8"))
    assert [set(row) for row in kept] == [{"claim", "published", "ours", "verdict"}] * 2
    assert [(row["ours"], row["verdict"]) for row in kept] == [("–", "not testable here"), ("12 pairs", "reproduced")]
    for row in kept:
        assert all(text in shown.markdown for text in row.values())


def test_verdicts_on_unknown_claims_or_of_unknown_kind_are_refused(tmp_path: Path) -> None:
    run = config.run(out=tmp_path)
    for section, ours in [("3.2", {"pears": ("", "reproduced")}), ("3.2", {"pairs": ("", "yes")}), ("9", {})]:
        with pytest.raises(MedDELError):
            notebook.conclude(run, section, ours)
    assert not (tmp_path / "verdicts").exists()
