"""The notebook for hosted machines: from an address to a finished notebook, in an environment without this project."""

from __future__ import annotations

import subprocess
from pathlib import Path

import papermill
import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def copy(tmp_path: Path) -> str:
    """The address of a repository with the project as it is now, uncommitted changes included."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs the project as a git repository")
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, capture_output=True, check=True, text=True).stdout.split("\0")
    place = tmp_path / "repository"
    for name in names:
        if name and (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes((ROOT / name).read_bytes())
    author = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "as it is now"]):
        subprocess.run(["git", "-C", str(place), *command], check=True)
    return place.as_uri()


def test_it_fetches_installs_checks_and_runs(copy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed, work = tmp_path / "installed", tmp_path / "work"
    work.mkdir()
    # as on a machine that has the other packages already; this environment stays as it is
    for name, value in {"PIP_TARGET": str(installed), "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(installed))
    source = ROOT / "notebooks" / "start_on_a_hosted_machine.ipynb"
    values = {"address": copy, "notebook": "01_recompute_the_introduction"}
    done = papermill.execute_notebook(
        str(source), str(tmp_path / "done.ipynb"), values, cwd=str(work), kernel_name="python3", progress_bar=False
    )
    said = "".join(output.get("text", "") for cell in done.cells for output in cell.get("outputs", []))
    assert "ready: Python" in said
    assert (installed / "meddel" / "machine.py").is_file()
    assert (work / "out" / "notebooks" / "01_recompute_the_introduction.html").is_file()
    assert (work / "meddel-compendium" / "README.md").is_file()


def test_without_an_address_it_says_so(tmp_path: Path) -> None:
    source = ROOT / "notebooks" / "start_on_a_hosted_machine.ipynb"
    with pytest.raises(papermill.PapermillExecutionError, match="give the address"):
        papermill.execute_notebook(
            str(source), str(tmp_path / "x.ipynb"), cwd=str(tmp_path), kernel_name="python3", progress_bar=False
        )
