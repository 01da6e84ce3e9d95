"""The command line: what it prints and writes, its exit codes, and that it goes on after an interruption."""

from __future__ import annotations

import csv
import inspect
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from compendium import cli
from meddel import __version__, encoder, select
from meddel import cli as method
from meddel.store import Store

COMMANDS = ("run", "embed", "select", "normdel", "report")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(("miou", "ratio", "printed"), [(0.7095, 0.05, "66.26 %"), (0.7202, 1, "56.59 %")])
def test_normdel_of_two_numbers(meddel: Callable, miou: float, ratio: float, printed: str) -> None:
    assert meddel("normdel", "--miou", miou, "--ratio", ratio) == (0, f"{printed}\n", "")


def test_the_installed_command_answers_without_waiting_for_torch() -> None:
    code = "import sys; from compendium.cli import main; sys.argv = ['meddel', '--version']\ntry: main()\nfinally: "
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"meddel {__version__}\nFalse\n", "")
    installed = Path(sys.executable).with_name("meddel")
    done = subprocess.run([installed, "normdel", "--miou", "0.7095", "--ratio", "0.05"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "66.26 %\n", "")


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_teaches(meddel: Callable, command: str | None) -> None:
    code, out, err = meddel(*([command] if command else []), "--help")
    assert (code, err) == (0, "")
    if command is None:
        assert all(name in out for name in COMMANDS)
        assert "meddel embed photos --out store" in " ".join(out.split())
    else:
        parameters = inspect.signature(getattr(cli, command, None) or getattr(method, command)).parameters.values()
        options = {f"--{parameter.name}" for parameter in parameters if parameter.name not in ("images", "store")}
        assert {option for option in options if option not in out and command != "select"} == set()


def test_no_argument_shows_help(meddel: Callable) -> None:
    done = meddel()
    assert "Usage" in done.out + done.err


@pytest.mark.parametrize("arguments", [
    ("normdel", "--miou", "high", "--ratio", "1"), ("normdel", "--miou", "0.5"), ("nosuch",), ("--nosuch",),
    ("select", "store", "--ratio", "0.5", "--out", "kept.csv", "--keep", "best"),
    ("select", "store", "--ratio", "0.5", "--out", "kept.csv", "--k", "0"),
    ("run", "--profile", "huge"), ("run", "--seed", "-1"), ("embed", "photos"),
])  # fmt: skip
def test_wrong_usage_is_exit_code_2(meddel: Callable, arguments: tuple[str, ...]) -> None:
    code, out, err = meddel(*arguments)
    assert (code, out) == (2, "")
    assert "Usage: meddel" in err
    assert "Traceback" not in err


def test_the_default_model_is_the_papers(meddel: Callable) -> None:
    assert inspect.signature(method.embed).parameters["model"].default == encoder.HUB_NAME


def test_embed_then_select_gives_the_paths_to_keep(
    meddel: Callable, photos: Path, weights: Path, tmp_path: Path
) -> None:
    store, kept, reasons = tmp_path / "store", tmp_path / "kept.csv", tmp_path / "kept_reasons.csv"
    done = meddel("embed", photos, "--out", store, "--weights", weights)
    assert done == (0, f"12 images, 24 numbers each: {store}\n", "")
    assert rows_of(store / "quarantine.csv") == []
    done = meddel("select", store, "--ratio", 0.25, "--out", kept)
    assert done == (0, f"kept 3 of 12 (25.00%): {kept}; the rest: {reasons}\n", "")
    rows, rest = rows_of(kept), rows_of(reasons)
    assert [row["rank"] for row in rows] == ["0", "1", "2"]
    assert {row["path"] for row in [*rows, *rest]} == {str(path) for path in photos.iterdir()}
    assert {row["reason"] for row in rest} <= {"duplicate", "outlier", "not drawn"}


def test_selections_repeat_nest_and_take_their_settings(
    meddel: Callable, photos: Path, weights: Path, tmp_path: Path
) -> None:
    meddel("embed", photos, "--out", tmp_path / "store", "--weights", weights)

    def kept(name: str, *settings: object) -> list[str]:
        done = meddel("select", tmp_path / "store", "--out", tmp_path / f"{name}.csv", *settings)
        assert done.code == 0, done.err
        return [row["id"] for row in rows_of(tmp_path / f"{name}.csv")]

    small = kept("small", "--ratio", 0.25)
    assert kept("again", "--ratio", 0.25) == small
    assert kept("large", "--ratio", 0.5)[:3] == small
    assert len(kept("random", "--selector", "random", "--ratio", 0.5, "--seed", 1)) == 6
    assert len(kept("all", "--eta", 1, "--eps", 2)) == 12
    assert len(kept("few", "--eta", -1, "--eps", 2, "--k", 4)) == 4


def test_the_files_of_a_selection_do_not_depend_on_who_computes(
    meddel: Callable, photos: Path, weights: Path, tmp_path: Path
) -> None:
    meddel("embed", photos, "--out", tmp_path / "store", "--weights", weights)
    written = []
    for settings in (("cpu", 1), ("cpu", 2), ("cpu", 3), ("reference", 1), ("auto", 2)):
        out = tmp_path / "-".join(map(str, settings)) / "kept.csv"
        out.parent.mkdir()
        options = ("--ratio", 0.5, "--backend", settings[0], "--threads", settings[1])
        assert meddel("select", tmp_path / "store", "--out", out, *options).code == 0
        written.append({path.name: path.read_bytes() for path in out.parent.iterdir()})
    assert len(written[0]) == 2 and all(files == written[0] for files in written)


def test_select_wants_a_ratio_or_a_threshold(meddel: Callable, photos: Path, weights: Path, tmp_path: Path) -> None:
    meddel("embed", photos, "--out", tmp_path / "store", "--weights", weights)
    for settings, said in [
        ((), "either --ratio or --eta"),
        (("--ratio", 0.5, "--eta", 0.9), "either --ratio or --eta"),
        (("--eta", 0.9, "--selector", "random"), "random knows no threshold"),
        (("--ratio", 0.5, "--selector", "random", "--k", 3), "random knows no --k"),
        (("--ratio", 0.5, "--selector", "best"), "unknown selector 'best'; choose one of d4, "),
    ]:
        code, out, err = meddel("select", tmp_path / "store", "--out", tmp_path / "kept.csv", *settings)
        assert (code, out) == (1, "")
        assert said in err
    assert not (tmp_path / "kept.csv").exists()


@pytest.mark.parametrize("name", [name for name in select.names() if name != "hardness"])
def test_every_selector_selects_from_the_command_line(
    meddel: Callable, photos: Path, weights: Path, tmp_path: Path, name: str
) -> None:
    meddel("embed", photos, "--out", tmp_path / "store", "--weights", weights)
    done = meddel("select", tmp_path / "store", "--out", tmp_path / "kept.csv", "--ratio", 0.5, "--selector", name)
    assert done.code == 0 and done.out.startswith("kept "), done
    assert f"{name}: " in meddel("selectors").out


def test_nothing_to_report_is_one_line(meddel: Callable, tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    expected = f"meddel: no study was run ({path}); run meddel run first\n"
    assert meddel("report", "--out", tmp_path) == (1, "", expected)


def test_an_unknown_notebook_is_told_the_known_ones(meddel: Callable, tmp_path: Path) -> None:
    code, _, err = meddel("run", "--only", "nosuch", "--out", tmp_path / "out")
    assert code == 1
    assert err.startswith("meddel: no notebook is called 'nosuch'; choose among 0")
    assert not (tmp_path / "out").exists()


def test_interrupted_it_says_so_and_goes_on(meddel: Callable, photos: Path, weights: Path, tmp_path: Path) -> None:
    arguments = ("embed", photos, "--weights", weights, "--batch", 1, "--out")
    for number in range(300):
        (photos / f"copy{number}.png").write_bytes((photos / "p00.png").read_bytes())
    store = tmp_path / "store"
    command = [sys.executable, "-c", "from compendium.cli import main; main()", *map(str, arguments), store]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "MEDDEL_PROGRESS": "0"}
    )
    while not (store / "store.json").exists() and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err == "meddel: interrupted; run the same again to go on\n"
    assert not list(store.glob(".*"))
    for folder in (store, tmp_path / "other"):
        assert meddel(*arguments, folder).code == 0
    np.testing.assert_array_equal(Store.open(store).embeddings, Store.open(tmp_path / "other").embeddings)
