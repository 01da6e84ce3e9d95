"""The house rules: layout, dependencies, notebooks and the size of things, held by tests instead of by promises."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Container, Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from compendium import notebooks as course

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("lib", "kernels", "notebooks", "data_manifests", "docs", "tests")
TOP_LEVEL = {
    *FOLDERS,
    *("README.md", "LICENSE", "CITATION.cff", "Makefile", "pyproject.toml", "requirements.lock", "environment.yml"),
}
MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 60
MAX_CELLS, MAX_PARAMETERS = 40, 8

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
    "segmentation-models-pytorch": "segmentation_models_pytorch",
    "unrar2-cffi": "unrar",
    "great-tables": "great_tables",
    "pytest-timeout": "pytest_timeout",
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
    "sphinx": "builds the site (lib/meddel/site)",
    "sphinxcontrib-bibtex": "the site's bibliography (docs/conf.py)",
    "tabulate": "pandas' `to_markdown` (lib/meddel/tables)",
    "uv": "writes the lock (Makefile)",
}


@cache
def project_files() -> tuple[Path, ...]:
    """All files that git tracks or would track; without git, all files of the known folders."""
    try:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
        found = [ROOT / name for name in names if name]
    except (OSError, subprocess.CalledProcessError):
        found = [path for name in TOP_LEVEL for path in (ROOT / name, *(ROOT / name).rglob("*"))]
        found = [path for path in found if "__pycache__" not in path.parts and ".ipynb_checkpoints" not in path.parts]
    return tuple(sorted(path for path in found if path.is_file()))


def sources(*folders: str) -> list[Path]:
    """The Python files below the given top-level folders."""
    return [path for path in project_files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders]


def notebooks() -> list[Path]:
    """All notebooks."""
    return [path for path in project_files() if path.suffix == ".ipynb"]


def named(path: Path) -> str:
    """A path as a test's identifier."""
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a Python file, or of a notebook's code cells."""
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, as_version=4).cells
        return ast.parse("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(nodes: Iterable[ast.AST], modules: Container[str] = ()) -> set[str]:
    """What absolute import statements name; ``from a import b`` means a.b if that is one of `modules`, else a."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            names.update(member if member in modules else node.module for member in members)
    return names


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


def test_top_level_holds_only_what_is_agreed() -> None:
    top = {path.relative_to(ROOT).parts[0] for path in project_files()}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL


@pytest.mark.parametrize("folder", ["lib", "kernels"])
def test_source_roots_are_no_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_kernels_do_not_know_the_library() -> None:
    users = [named(path) for path in sources("kernels") if "meddel" in roots_of([path])]
    assert users == []


def roots_of(paths: list[Path]) -> set[str]:
    """The top-level packages that files import, wherever in the file."""
    return {name.split(".")[0] for path in paths for name in imports_of(ast.walk(tree_of(path)))}


def module_name(path: Path) -> str:
    """The dotted name of a file below lib/ or kernels/."""
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_modules_import_each_other_without_cycles() -> None:
    files = {module_name(path): path for path in sources("lib", "kernels") if "bench" not in path.parts}
    graph = {name: imports_of(tree_of(path).body, files) & (files.keys() - {name}) for name, path in files.items()}
    while free := {name for name, needed in graph.items() if not needed}:
        graph = {name: needed - free for name, needed in graph.items() if name not in free}
    assert graph == {}, "each of these waits for another"


def test_every_dependency_is_declared_and_used() -> None:
    own = {"meddel", "meddel_kernels", *sys.stdlib_module_names}
    imported = roots_of([*sources("lib", "kernels", "tests"), *notebooks()])
    scripts = [path for path in sources("tests", "kernels") if "meddel_kernels" not in path.parts]
    local = {path.stem for path in scripts} | {path.parent.name for path in sources("tests")}
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


def test_version_is_cited() -> None:
    version = re.search(r'__version__ = "(.+)"', (ROOT / "lib/meddel/__init__.py").read_text(encoding="utf-8"))
    assert version is not None
    assert f"\nversion: {version[1]}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The length of a function without its docstring, which may take the space that it needs."""
    docstring = function.body[0] if ast.get_docstring(function) else None
    documented = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - documented


@pytest.mark.parametrize("path", sources(*FOLDERS), ids=named)
def test_files_and_functions_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    functions = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [function.name for function in functions if code_lines(function) > MAX_FUNCTION_LINES] == []


def public_definitions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """The public functions and classes of a module, and the public methods of its public classes."""
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from public_definitions(node.body, f"{prefix}{node.name}.")


@pytest.mark.parametrize("path", sources("lib", "kernels"), ids=named)
def test_everything_public_is_documented(path: Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree), "the module has no docstring"
    assert [name for name, node in public_definitions(tree.body) if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("path", notebooks(), ids=named)
def test_notebook_is_canonical(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    assert path.read_text(encoding="utf-8") == nbformat.writes(book) + "\n", "not written as nbformat writes it"
    own = [cell for cell in book.cells if course.NAVIGATION not in cell.metadata.get("tags", [])]
    assert len(own) <= MAX_CELLS
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code), "run `make format`"
    source = "\n".join(cell.source for cell in code)
    assert not re.search(r"^\s*[!%]|sys\.path|get_ipython", source, re.MULTILINE), "magic, shell or sys.path"


@pytest.mark.parametrize("path", notebooks(), ids=named)
def test_notebook_has_few_typed_parameters(path: Path) -> None:
    tagged = [cell for cell in nbformat.read(path, as_version=4).cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1, "one cell has the tag `parameters`"
    statements = ast.parse(tagged[0].source).body
    assert all(isinstance(statement, ast.AnnAssign) and statement.value for statement in statements), (
        "name: type = value"
    )
    assert len(statements) <= MAX_PARAMETERS


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    elsewhere = re.compile(r"(?<![\w.~/:-])/(?:root|work|home/\w+|Users/\w+)/")
    texts = {named(path): path.read_bytes().decode(errors="ignore") for path in project_files()}
    assert [name for name, text in texts.items() if elsewhere.search(text)] == []
