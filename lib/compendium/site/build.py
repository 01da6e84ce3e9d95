"""Gather the site's sources in a folder beside the target, let Sphinx build them, and put the result in its place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import meddel_kernels
from compendium.site import api, citations, pages
from meddel import artefacts
from meddel.errors import MedDELError

ROOT = Path(__file__).resolve().parents[3]
"""The source tree: the site's own pages are not installed with the library."""

REPORT_FOLDER = "report"
"""What lies here among the sources goes to the site's top as it is (``html_extra_path`` in docs/conf.py)."""
_BUILT = ("index.html", "searchindex.js")
_NO_WORKSHOP = "# The workshop\n\nThe guide for those who teach was not there when this site was built.\n"


def build(out: Path, target: Path, *, strict: bool = False) -> Path:
    """Build the site of the run in `out` as the folder `target`, and return the path of its first page.

    A site that was there is replaced when the new one is complete; anything else at `target` is left alone.

    Parameters
    ----------
    out : Path
        Folder of a run; its ``notebooks`` holds the executed notebooks.
    target : Path
        Folder of the site.
    strict : bool
        Whether a warning of Sphinx, such as a link that leads nowhere, is an error.

    Raises
    ------
    MedDELError
        There is nothing to show, Sphinx or the site's sources are missing, Sphinx fails, or `target` is something else
        than a site or can't be written.
    """
    notebooks = pages.executed(out)
    _check(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as work:
            source, made = Path(work) / "source", Path(work) / "site"
            gather(notebooks, source)
            (source / REPORT_FOLDER).mkdir()
            if (out / "report.html").is_file():
                shutil.copy(out / "report.html", source / REPORT_FOLDER)
            _sphinx(source, made, Path(work), strict)
            _replace(target, made, Path(work) / "old")
    except OSError as error:
        raise artefacts.unwritable(target, error) from error
    return target / "index.html"


def gather(notebooks: list[Path], source: Path) -> None:
    """Write all that Sphinx reads into the folder `source`: own pages, notebooks, kernels, workshop, API reference."""
    shutil.copytree(ROOT / "docs", source, ignore=shutil.ignore_patterns("__pycache__"))
    keys = citations.keys_by_arxiv(source / "reference" / "references.bib")
    pages.write(notebooks, source / "notebooks", source / "static" / "figures", keys)
    results = ROOT / "kernels" / "bench" / "results"
    shutil.copytree(results, source / "kernels" / "bench" / "results")
    shutil.copyfile(ROOT / "kernels" / "README.md", source / "kernels" / "README.md")
    guide = ROOT / "notebooks" / "workshop" / "TEACHING.md"
    workshop = guide.read_text(encoding="utf-8") if guide.is_file() else _NO_WORKSHOP
    artefacts.write_text(source / "use" / "workshop.md", workshop)
    packages = [ROOT / "lib" / "meddel", Path(meddel_kernels.__file__).resolve().parent]
    api.write(packages, source / "reference" / "api")


def _check(target: Path) -> None:
    if not (ROOT / "docs" / "conf.py").is_file():
        raise MedDELError("the site's sources are missing", ROOT / "docs", "build it in a clone of the repository")
    missing = [name for name in ("sphinx", "myst_nb", "pydata_sphinx_theme") if find_spec(name) is None]
    if missing:
        raise MedDELError(f"not installed: {', '.join(missing)}", fix="run make setup")
    empty = not target.exists() or (target.is_dir() and not any(target.iterdir()))
    if not empty and not all((target / name).is_file() for name in _BUILT):
        raise MedDELError("there is something else than a site", target, "give another --target")


def _sphinx(source: Path, made: Path, work: Path, strict: bool) -> None:
    """Run Sphinx in a process of its own, so that what the API's modules do when imported stays there."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-d", str(work / "doctrees"), "-q"]
    command += ["--fail-on-warning"] if strict else []
    # The notebooks were executed: no kernel, no GPU and no hub is asked for anything.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    run = subprocess.run([*command, str(source), str(made)], env=environment, stderr=subprocess.PIPE, text=True)
    said = run.stderr.replace(f"{source}{os.sep}", "").strip()
    if run.returncode:
        last = said.splitlines()[-1] if said else f"exit code {run.returncode}"
        print(said, file=sys.stderr)
        raise MedDELError(f"Sphinx stopped: {last}", fix="see its messages above")
    if said:
        print(said, file=sys.stderr)


def _replace(target: Path, made: Path, old: Path) -> None:
    """Put `made` where `target` was; the old site goes to `old` first, and comes back if that fails."""
    if target.exists():
        os.replace(target, old)
    try:
        os.replace(made, target)
    except OSError:
        if old.exists():
            os.replace(old, target)
        raise
