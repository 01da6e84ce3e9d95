"""Spoilt manifests, weights, checkpoints, ledgers and settings are right or refused, and nothing in between."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import strategies as st

from datadel import layout, manifest
from meddel import artefacts, config, encoder, manifests, select, study
from meddel.config import EncoderConfig, PretrainConfig, Profile, SegmentConfig, SelectConfig
from meddel.errors import MedDELError
from meddel.normdel import normdel
from meddel.pretrain.loop import pretrain
from meddel.scale.stream import load_checkpoint, save_checkpoint
from meddel.segment import IMAGES_SCHEMA, SCORES_SCHEMA
from tests.conftest import TINY
from tests.fuzz.mutations import mutated, mutated_json, mutated_text
from tests.meddel.study_cases import draw_data, run_of


@pytest.mark.parametrize("name", ["kvasir-seg", "hyper-kvasir"])
def test_manifests(fuzz: Callable, tmp_path: Path, name: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()

    def check(value: object) -> None:
        with suppress(MedDELError):
            one = manifest.of_jsonld(value)
            assert not {"/", ".."} & {part for archive in one.archives for part in (archive.name, one.name)}
            layout.find(one, {None: tmp_path})

    good = manifests.read_json(f"datadel/{name}.json")
    fuzz("manifest of a set", check, mutated_json(good), [None, [], {}, "x"])


def test_weights(fuzz: Callable, weights: Path, tmp_path: Path) -> None:
    good, path = encoder.load(weights)[0].state_dict(), tmp_path / "w.safetensors"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(MedDELError):
            model, found = encoder.load(path)
            assert found.width == TINY.width or not content
            assert model.state_dict().keys() == good.keys()

    fuzz("encoder.safetensors", check, mutated(weights.read_bytes()))


def test_configurations_in_weights(fuzz: Callable, weights: Path, tmp_path: Path) -> None:
    content, path = weights.read_bytes(), tmp_path / "w.safetensors"
    size = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + size])
    [key] = head["__metadata__"]

    def check(told: bytes) -> None:
        text = json.dumps(head | {"__metadata__": {key: told.decode(errors="replace")}}).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
        with suppress(MedDELError):
            assert encoder.load(path)[1].width == TINY.width

    told = json.loads(head["__metadata__"][key])
    large = {"config": {"image_size": 4096, "patch_size": 8, "width": 65536, "depth": 1000, "heads": 1}}
    fuzz("configuration in weights", check, mutated_text(told), [b"{}", b"[]", json.dumps(told | large).encode()])


def test_checkpoints_of_pretraining(fuzz: Callable, tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    settings = PretrainConfig(method="simclr", images_seen=16, batch=8, lr=1e-3, checkpoint_seconds=1e-9)
    path = tmp_path / "out" / "checkpoint.pt"
    kept: list[bytes] = []

    def keep(step: int) -> None:
        if path.exists():
            kept.append(path.read_bytes())

    def train(**more: object) -> bytes:
        return pretrain(pictures, np.arange(8), TINY, settings, 0, path.parent, **more).read_bytes()

    whole = train(on_step=keep)
    assert kept

    def check(content: bytes) -> None:
        (path.parent / "encoder.safetensors.json").unlink(missing_ok=True)
        path.write_bytes(content)
        with suppress(MedDELError):
            assert train() == whole

    middle = len(kept[-1]) // 2  # among the weights
    flipped = kept[-1][:middle] + bytes([kept[-1][middle] ^ 1]) + kept[-1][middle + 1 :]
    known = [kept[-1], flipped, saved({}), saved([1]), saved({"key": "x"})]
    fuzz("checkpoint.pt", check, mutated(kept[-1]), known)


def saved(value: object) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def test_checkpoints_of_stages(fuzz: Callable, tmp_path: Path) -> None:
    path = tmp_path / "kmeans.npz"
    save_checkpoint(path, "key", labels=np.arange(5), moves=np.array(3))

    def check(content: bytes) -> None:
        path.write_bytes(content)
        found = load_checkpoint(path, "key")
        assert found is None or all(isinstance(value, np.ndarray) for value in found.values())
        if found is not None and found.keys() == {"labels", "moves"}:
            assert found["labels"].tolist() == [0, 1, 2, 3, 4] and found["moves"] == 3

    fuzz("checkpoint .npz", check, mutated(path.read_bytes()))


def test_provenance(fuzz: Callable, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with artefacts.recorded(path, "key", parameters={"x": 1}):
        artefacts.write_text(path, "x")

    def check(content: bytes) -> None:
        artefacts.provenance_path(path).write_bytes(content)
        assert artefacts.is_finished(path, "key") in (True, False)

    fuzz("provenance", check, mutated_text(json.loads(artefacts.provenance_path(path).read_text())))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> tuple[config.Run, Path]:
    """A study that was not run, and a ledger that holds its cells."""
    data = draw_data(tmp_path_factory.mktemp("data"))
    run = run_of(data, tmp_path_factory.mktemp("out"), ratios=(0.5,), seeds=1, selectors=("random",))
    folder = tmp_path_factory.mktemp("ledger")
    with artefacts.recorded(folder / "x", "key", parameters={}):
        pass
    told = artefacts.read_provenance(folder / "x").model_dump(mode="json")
    names = list(study.ledger.recipes(run, study.jobs(run)).values())
    artefacts.write_json(folder / "seed-0.json", {name: {"scores": told, "pretraining": None} for name in names})
    for kind, schema in (("scores", SCORES_SCHEMA), ("images", IMAGES_SCHEMA)):
        rows = pa.Table.from_pylist([{} for _ in names], schema)
        artefacts.write_table(folder / f"seed-0.{kind}.parquet", rows.append_column("recipe", pa.array(names)))
    assert study.ledger.load(run, study.jobs(run), folder) == len(names) > 0
    return run, folder


@pytest.mark.parametrize("name", ["seed-0.json", "seed-0.scores.parquet", "seed-0.images.parquet"])
def test_ledgers(fuzz: Callable, ledger: tuple[config.Run, Path], tmp_path: Path, name: str) -> None:
    run, folder = ledger
    good = (folder / name).read_bytes()

    def check(content: bytes) -> None:
        (folder / name).write_bytes(content)
        try:
            with suppress(MedDELError):
                study.ledger.provenance(run, study.jobs(run), folder)
                study.ledger.load(run.model_copy(update={"out": tmp_path}), study.jobs(run), folder)
        finally:
            (folder / name).write_bytes(good)

    fuzz("ledger", check, mutated_text(json.loads(good)) if name.endswith("json") else mutated(good))


ANY = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers()))


@pytest.mark.parametrize("model", [EncoderConfig, SelectConfig, PretrainConfig, SegmentConfig, Profile])
def test_settings(fuzz: Callable, model: type[config.Config]) -> None:
    def check(values: dict) -> None:
        with suppress(MedDELError):
            made = config.validated(model, values)
            assert config.validated(model, made.model_dump()) == made
            numbers = [value for value in made.model_dump().values() if isinstance(value, float)]
            assert not any(map(math.isnan, numbers))

    fuzz("settings", check, st.dictionaries(st.sampled_from([*model.model_fields, "more"]), ANY, max_size=4))


def test_numbers_of_the_score_and_the_ratio(fuzz: Callable) -> None:
    def check(numbers: tuple[float, float, float, int]) -> None:
        miou, ratio, alpha, n = numbers
        with suppress(MedDELError):
            assert 0 <= float(normdel(miou, ratio, alpha)) <= 1
        with suppress(MedDELError):
            assert 1 <= select.budget_for(config.check_ratio(ratio), n) <= n

    fuzz("numbers", check, st.tuples(st.floats(), st.floats(), st.floats(), st.integers(1, 10**12)))
