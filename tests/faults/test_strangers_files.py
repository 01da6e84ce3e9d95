"""Files from strangers can't run code, and no path in them leads out of the folder that it belongs to."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from datadel import layout, manifest, prepare
from meddel import encoder, manifests
from meddel.config import PretrainConfig
from meddel.errors import MedDELError
from meddel.images import index
from meddel.pretrain.loop import pretrain
from meddel.store import Store, import_from, write
from tests.conftest import TINY

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for top in ("lib", "kernels") for path in (ROOT / top).rglob("*.py"))
UNPICKLES = {"pickle", "_pickle", "cPickle", "joblib", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle"}
RUNS_TEXT = {"eval", "exec"}


def calls(tree: ast.AST) -> Iterator[tuple[str, dict[str, object]]]:
    """The dotted names of what is called, with constant keyword arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            constants = {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
            yield ast.unparse(node.func), constants


def unsafe(text: str) -> list[str]:
    """What in a source file could run what a data file says."""
    tree, found = ast.parse(text), []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [name for name in names if name.split(".")[0] in UNPICKLES]
    for name, given in calls(tree):
        named = name in RUNS_TEXT or name == "yaml.load" or name.endswith((".read_pickle", ".unsafe_load"))
        asked = given.get("allow_pickle") or (name == "torch.load" and given.get("weights_only") is not True)
        found += [name] if named or asked else []
    return found


@pytest.mark.fault("file of a stranger", "no unpickling in the sources")
def test_nothing_in_the_library_unpickles_or_runs_text() -> None:
    assert {path.name: found for path in SOURCES if (found := unsafe(path.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize("text", [
    "import pickle", "from joblib import load", "torch.load(path)", "torch.load(path, weights_only=False)",
    "np.load(path, allow_pickle=True)", "eval(text)", "exec(text)", "yaml.load(text)", "pd.read_pickle(path)",
])  # fmt: skip
def test_what_would_is_seen(text: str) -> None:
    assert unsafe(text) != []


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def object_array(canary: Canary) -> np.ndarray:
    return np.array([[canary, canary]], dtype=object)


def zip_of(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.npy", content)
    return stream.getvalue()


def saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def parquet_of(canary: Canary) -> bytes:
    stream = io.BytesIO()
    table = pa.table({"vector": [pickle.dumps(canary)]})
    pq.write_table(table.replace_schema_metadata({"pandas": pickle.dumps(canary)}), stream)
    return stream.getvalue()


FILES: dict[str, Callable[[Canary], bytes]] = {
    "object.npy": lambda canary: saved(object_array(canary)),
    "pickle.npy": pickle.dumps,
    "object.npz": lambda canary: zip_of(saved(object_array(canary))),
    "pickle.npz": lambda canary: zip_of(pickle.dumps(canary)),
    "pickle.safetensors": pickle.dumps,
    "pickle.parquet": pickle.dumps,
    "binary.parquet": parquet_of,
}


@pytest.mark.fault("file of a stranger", "import")
@pytest.mark.parametrize("name", FILES)
def test_imports_do_not_run_what_a_file_says(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name](Canary(tmp_path / "ran")))
    with pytest.raises(MedDELError, match=name):
        import_from(tmp_path / name, tmp_path / "store")
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@pytest.mark.fault("file of a stranger", "weights")
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("way", ["torch", "pickle"])
def test_weights_do_not_run_what_a_file_says(tmp_path: Path, suffix: str, way: str) -> None:
    path, canary = tmp_path / f"weights{suffix}", Canary(tmp_path / "ran")
    state = {"head.weight": torch.zeros(2), "more": canary}
    path.write_bytes(pickle.dumps(state)) if way == "pickle" else torch.save(state, path)
    with pytest.raises(MedDELError, match=path.name):
        encoder.hub("test_vit", path)
    assert not canary.path.exists()


@pytest.mark.fault("file of a stranger", "checkpoint")
def test_a_checkpoint_does_not_run_what_it_says(tmp_path: Path) -> None:
    canary = Canary(tmp_path / "ran")
    torch.save({"key": "x", "done": 1, "model": canary}, tmp_path / "checkpoint.pt")
    pictures = np.zeros((4, 32, 32, 3), np.uint8)
    settings = PretrainConfig(method="simclr", images_seen=4, batch=4)
    with pytest.raises(MedDELError, match=r"checkpoint can't be read.*checkpoint\.pt"):
        pretrain(pictures, np.arange(4), TINY, settings, 0, tmp_path)
    assert not canary.path.exists()


@pytest.mark.fault("file of a stranger", "store")
@pytest.mark.parametrize("name", ["shard-00000.npy", "shard-00000.parquet", "store.json"])
def test_a_store_does_not_run_what_it_says(tmp_path: Path, stored: Store, name: str) -> None:
    canary = Canary(tmp_path / "ran")
    content = saved(object_array(canary)) if name.endswith(".npy") else pickle.dumps(canary)
    (stored.folder / name).write_bytes(content)
    with pytest.raises(MedDELError, match="no store in this folder" if name == "store.json" else name):
        Store.open(stored.folder)
    assert not canary.path.exists()


@pytest.mark.fault("path that leads out", "index")
@pytest.mark.parametrize("column", ["path", "mask"])
@pytest.mark.parametrize("way", ["../../etc/passwd", "/etc/passwd", "images/link.png", "images/../../x.png"])
def test_an_index_leads_nowhere_else(tmp_path: Path, column: str, way: str) -> None:
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    (root / "images" / "link.png").symlink_to("/etc/passwd")
    good = {"id": "set/good", "path": str(root / "images" / "good.png"), "source": "set"}
    table = index.from_rows([good, good | {"id": "set/odd", column: str(root / way)}])
    index.write_index(root / "index.parquet", table)
    assert index.read_index(root / "index.parquet").num_rows == 2
    with pytest.raises(MedDELError, match=rf"the {column} of 'set/odd' is outside .*index\.parquet"):
        prepare.verify(root)


@pytest.mark.fault("path that leads out", "manifest")
@pytest.mark.parametrize("name", ["../../README.md", "/etc/passwd", "datadel/../../README.md", "."])
def test_a_manifest_is_one_of_ours(name: str) -> None:
    with pytest.raises(MedDELError, match="no manifest"):
        manifests.path(name)


@pytest.mark.fault("path that leads out", "manifest")
@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "..", "", "a\\b", "a\0b"])
def test_names_in_a_manifest_name_files_of_the_cache(name: str) -> None:
    good = manifests.read_json("datadel/kvasir-seg.json")
    with pytest.raises(MedDELError, match=r"no manifest of a data set: .*mend it"):
        manifest.of_jsonld(good | {"name": name})
    archive = next(entry for entry in good["distribution"] if entry["@type"] == "cr:FileObject")
    with pytest.raises(MedDELError, match="is no plain name"):
        manifest.of_jsonld(good | {"distribution": [archive | {"name": name}]})


@pytest.mark.fault("path that leads out", "manifest")
@pytest.mark.parametrize("replaced", ["raw/../../x", "^raw/", "raw/x/../../.."])
def test_rules_in_a_manifest_make_paths_inside_the_set(tmp_path: Path, replaced: str) -> None:
    (tmp_path / "raw").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "raw" / "a.png")
    good = manifests.read_json("datadel/kvasir-seg.json")
    text = json.dumps(good).replace("Kvasir-SEG/images/*.jpg", "raw/*.png")
    changed = json.loads(text.replace(json.dumps({"regex": ".*/([^/]+)\\.jpg$"}), json.dumps({"replace": replaced})))
    with pytest.raises(MedDELError, match=r"leads out of the set .*a\.png"):
        layout.find(manifest.of_jsonld(changed), {None: tmp_path})


@pytest.fixture
def stored(tmp_path: Path) -> Store:
    """A store of one shard."""
    rows = index.from_rows({"id": f"{i}", "path": f"{i}.jpg", "source": "set", "sha256": "0"} for i in range(4))
    return write(tmp_path / "store", np.eye(4), rows, encoder={"name": "mine"})
