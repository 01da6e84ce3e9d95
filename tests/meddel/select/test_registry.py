"""Own selectors by decorator and by entry point: known by name, checked, and in nobody's way."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from meddel import select as selectors
from meddel.errors import MedDELError
from meddel.select import registry as registered

INDEX = pa.table({"id": [f"s/{row}" for row in range(6)], "path": [f"/{row}" for row in range(6)]})
X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
SELECT = """
def select(embeddings, index, budget, rng):
    return sorted(index["id"].to_pylist(), reverse=True)[:budget], None
"""


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what other tests see as it is."""
    monkeypatch.setattr(registered, "_SELECTORS", dict(registered._SELECTORS))
    monkeypatch.setattr(registered, "_tried", set())
    monkeypatch.setattr(registered, "_broken", {})


def installed(folder: Path, distribution: str, source: str, points: dict[str, str]) -> None:
    """Install a distribution of one module into a folder, as an installer leaves it there."""
    (folder / f"{distribution}.py").write_text(source)
    facts = folder / f"{distribution}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (facts / "entry_points.txt").write_text("\n".join(["[meddel.select]", *lines, ""]))


def kept(name: str, budget: int = 2) -> list[str]:
    table = selectors.get(name)(X, INDEX, budget, np.random.default_rng(0)).sort_by("rank")
    return table["id"].to_pylist()[:budget]


def test_a_decorated_function_is_known_and_stays_as_it_is() -> None:
    def first(embeddings: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple:
        return sorted(index["id"].to_pylist())[:budget], None

    assert selectors.register("first")(first) is first
    assert "first" in selectors.names()
    assert kept("first") == ["s/0", "s/1"]
    assert selectors.is_invariant("first")


def test_running_a_cell_again_replaces_an_own_selector_and_never_a_built_in_one() -> None:
    for last in (1, 4):

        @selectors.register("mine", invariant=False)
        def mine(
            embeddings: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator, *, first: int = last
        ) -> tuple:
            return index["id"].to_pylist()[first : first + budget], None

    assert kept("mine", 1) == ["s/4"]
    assert not selectors.is_invariant("mine")
    assert selectors.settings_of("mine") == ("first",)
    for name in ("meddel", "random"):
        before = selectors.get(name)
        with pytest.raises(MedDELError, match="already; choose another name"):
            selectors.register(name)(mine)
        assert selectors.get(name) is before


@pytest.mark.parametrize("name", ["all", "none", "Mine", "a/b", "", "a b", "../a", "a-"])
def test_names_that_can_be_no_folder_or_stand_for_something_else_are_refused(name: str) -> None:
    with pytest.raises(MedDELError, match="can't name a selector"):
        selectors.register(name)(lambda *_: None)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(MedDELError, match="a str is no selector"):
        selectors.register("mine")("select")


def test_an_own_selector_is_checked_whenever_it_runs() -> None:
    @selectors.register("greedy")
    def greedy(embeddings: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple:
        return index["id"].to_pylist(), None

    @selectors.register("careless")
    def careless(embeddings: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple:
        embeddings /= 2
        return index["id"].to_pylist()[:budget], None

    with pytest.raises(MedDELError, match=r"it keeps 6 images for a budget of 2 \(selector 'greedy'\)"):
        kept("greedy")
    before = X.copy()
    with pytest.raises(MedDELError, match=r"it changes the embeddings \(selector 'careless'\)"):
        kept("careless")
    np.testing.assert_array_equal(X, before)
    with pytest.raises(MedDELError, match="can't keep 7 of 6"):
        kept("greedy", 7)


def test_errors_of_an_own_selector_pass_with_their_traceback() -> None:
    @selectors.register("failing")
    def failing(embeddings: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as error:
        kept("failing")
    assert error.traceback[-1].name == "failing"


def test_an_installed_package_offers_a_selector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "meddel_plugin_one", SELECT, {"backwards": "meddel_plugin_one:select"})
    assert "backwards" not in selectors.names()
    monkeypatch.syspath_prepend(tmp_path)
    assert "backwards" in selectors.names()
    assert kept("backwards") == ["s/5", "s/4"]


def test_it_is_found_by_name_without_a_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "meddel_plugin_two", SELECT, {"backwards": "meddel_plugin_two:select"})
    monkeypatch.syspath_prepend(tmp_path)
    assert kept("backwards") == ["s/5", "s/4"]


def test_a_module_may_register_its_selector_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decorated = SELECT.replace("\ndef", 'from meddel import select\n@select.register("two", invariant=False)\ndef')
    installed(tmp_path, "meddel_plugin_three", decorated, {"two": "meddel_plugin_three:select"})
    monkeypatch.syspath_prepend(tmp_path)
    assert kept("two") == ["s/5", "s/4"]
    assert not selectors.is_invariant("two")


def test_a_person_goes_before_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @selectors.register("mine")
    def mine(embeddings: np.ndarray, index: pa.Table, budget: int, rng: np.random.Generator) -> tuple:
        return sorted(index["id"].to_pylist())[:budget], None

    installed(tmp_path, "meddel_plugin_four", SELECT, {"mine": "meddel_plugin_four:select"})
    monkeypatch.syspath_prepend(tmp_path)
    assert "mine" in selectors.names()
    assert kept("mine") == ["s/0", "s/1"]


@pytest.mark.parametrize(("module", "source", "point", "said"), [
    ("broken_import", "import no_such_module_at_all", "bad = broken_import:select", "ModuleNotFoundError"),
    ("broken_syntax", "def (", "bad = broken_syntax:select", "SyntaxError"),
    ("broken_exit", "raise SystemExit(3)", "bad = broken_exit:select", "SystemExit"),
    ("broken_name", SELECT, "bad = broken_name:missing", "AttributeError"),
    ("broken_kind", "select = 3", "bad = broken_kind:select", "a int is no selector"),
    ("broken_title", SELECT, "Bad Name = broken_title:select", "can't name a selector"),
    ("broken_taken", SELECT, "meddel = broken_taken:select", "already"),
])  # fmt: skip
def test_a_broken_package_is_one_warning_and_stops_nobody(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    module: str,
    source: str,
    point: str,
    said: str,
) -> None:
    before, built_in = set(selectors.names()), selectors.get("meddel")
    installed(tmp_path, module, source, dict([point.split(" = ")]))
    installed(tmp_path, f"{module}_other", SELECT, {"other": f"{module}_other:select"})
    monkeypatch.syspath_prepend(tmp_path)
    with caplog.at_level(logging.WARNING, logger="meddel"):
        for _ in range(2):
            assert set(selectors.names()) == before | {"other"}
    [warning] = caplog.messages
    assert said in warning and "left out" in warning and "\n" not in warning
    assert selectors.get("meddel") is built_in
    if point.startswith("bad"):
        with pytest.raises(MedDELError, match=said):
            selectors.get("bad")
