"""Labelled sets: found in folders and archives, split without leaks, refused when broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from compendium.generated import with_data
from compendium.questions import labelled, probes, quality
from meddel import config
from meddel.config import Run
from meddel.errors import MedDELError

SIDE = 16


def find(folder: Path, out: Path) -> list[labelled.LabelledSet]:
    return labelled.find(Run(profile=config.profile("smoke"), data=folder, out=out), SIDE)


@pytest.fixture(scope="module")
def sets(modalities_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, labelled.LabelledSet]:
    return {data.name: data for data in find(modalities_folder, tmp_path_factory.mktemp("out"))}


def test_sets_are_found_with_their_modality_and_classes(sets: dict[str, labelled.LabelledSet]) -> None:
    assert {name: (data.modality, data.classes) for name, data in sets.items()} == {
        "busi": ("ultrasound", ("benign", "malignant", "normal")),
        "cifar10_subset": ("natural", ("cat", "dog")),
        "isic2017": ("dermoscopy", ("0", "1")),
        "pneumoniamnist": ("x-ray", ("0", "1")),
        "wce_bleedgen": ("endoscopy", ("0", "1")),
    }
    assert all(data.images.shape[1:] == (SIDE, SIDE, 3) for data in sets.values())
    assert np.bincount(sets["busi"].labels).tolist() == [12, 12, 12]


def test_a_set_alone_is_found_too(modalities_folder: Path, tmp_path: Path) -> None:
    assert [data.name for data in find(modalities_folder / "busi", tmp_path)] == ["busi"]
    assert [data.name for data in find(modalities_folder / "pneumoniamnist", tmp_path)] == ["pneumoniamnist"]


def test_official_parts_are_kept_whatever_the_seed(sets: dict[str, labelled.LabelledSet]) -> None:
    for name, tested in (("cifar10_subset", 20), ("pneumoniamnist", 12)):
        train, test = sets[name].split(0)
        assert len(test) == tested
        assert (sets[name].official[test] == "test").all()
        assert (sets[name].split(1)[1] == test).all()
        assert sorted([*train, *test]) == list(range(len(sets[name].images)))


def test_other_sets_are_split_by_the_seed_with_classes_in_proportion(sets: dict[str, labelled.LabelledSet]) -> None:
    train, test = sets["busi"].split(0)
    assert not set(train) & set(test)
    assert np.bincount(sets["busi"].labels[test]).tolist() == [4, 4, 4]
    assert set(sets["busi"].split(0)[1]) == set(test)
    assert set(sets["busi"].split(1)[1]) != set(test)


def test_images_that_look_alike_fall_into_one_part() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (20, SIDE, SIDE, 3), dtype=np.uint8)
    near = np.clip(base.astype(int) + rng.integers(-6, 7, base.shape), 0, 255).astype(np.uint8)
    images = np.concatenate([base, near])
    groups = labelled.look_alike(images, np.arange(40))
    assert (groups[:20] == groups[20:]).all()
    assert len(set(groups.tolist())) == 20
    joined = labelled.look_alike(base, np.repeat([0, 1], 10))
    assert joined.tolist() == [0] * 10 + [1] * 10
    data = labelled.from_labels("twins", "none", images, ["a", "b"] * 20, groups, [""] * 40)
    train, test = data.split(3)
    assert not set(groups[train]) & set(groups[test])


def test_an_archive_or_labels_that_are_broken_are_refused(modalities_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad" / "a").mkdir(parents=True)
    (tmp_path / "bad" / "a" / "x.npz").write_bytes(b"no archive")
    with pytest.raises(MedDELError, match="no readable archive"):
        find(tmp_path / "bad", tmp_path / "cache")
    images = np.zeros((4, 8, 8), np.uint8)
    np.savez(tmp_path / "bad" / "a" / "x.npz", train_images=images, train_labels=np.zeros((4, 14), np.uint8))
    with pytest.raises(MedDELError, match="one label each"):
        find(tmp_path / "bad", tmp_path / "cache")
    np.savez(tmp_path / "bad" / "a" / "x.npz", train_images=images, train_labels=np.zeros((4, 1), np.uint8))
    with pytest.raises(MedDELError, match="fewer than two classes"):
        find(tmp_path / "bad", tmp_path / "cache")
    shutil.copytree(modalities_folder / "busi", tmp_path / "b" / "busi")
    (tmp_path / "b" / "busi" / "labels.csv").write_text("name,class\nother,benign\n")
    with pytest.raises(MedDELError, match="no image is named"):
        find(tmp_path / "b", tmp_path / "cache")


def test_a_class_that_only_one_group_holds_can_not_be_split() -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, SIDE, SIDE, 3), dtype=np.uint8)
    groups = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    data = labelled.from_labels("few", "none", images, ["a"] * 3 + ["b"] * 6, groups, [""] * 9)
    with pytest.raises(MedDELError, match=r"can't be split|has no image"):
        data.split(0)


def test_a_run_offers_its_modalities_domains_and_studies(tiny: Run) -> None:
    assert [data.name for data in probes.other_modalities(tiny, SIDE)] == ["busi", "isic2017", "pneumoniamnist"]
    domains = probes.domains(tiny, SIDE)
    assert {domain: data.name for domain, data in domains.items()} == {
        quality.MEDICAL: "wce_bleedgen",
        quality.NATURAL: "cifar10_subset",
    }
    studies = probes.masked_studies(tiny)
    assert list(studies) == ["isic2017"]
    assert studies["isic2017"].profile.encoder == tiny.profile.encoder
    assert studies["isic2017"].profile.selectors == ("random", "meddel")
    endoscopy = tiny.model_copy(update={"data": tiny.data / "wce_bleedgen"})
    assert probes.other_modalities(endoscopy, SIDE) == []
    assert list(probes.domains(endoscopy, SIDE)) == [quality.MEDICAL]
    assert probes.masked_studies(endoscopy) == {}


def test_generated_data_have_labels_of_their_own(tiny: Run) -> None:
    run = with_data(tiny.model_copy(update={"data": tiny.out / "data", "generated": True}))
    [data] = probes.other_modalities(run, SIDE)
    assert data.modality == probes.GENERATED
    assert data.classes == ("no polyp", "polyp")
    assert data.images.shape == (72, SIDE, SIDE, 3)
    train, test = data.split(0)
    assert not set(data.groups[train]) & set(data.groups[test])
    assert set(probes.domains(run, SIDE)) == {quality.MEDICAL, quality.NATURAL}
    with pytest.raises(MedDELError, match="not generated"):
        probes.generated_endoscopy(tiny.model_copy(update={"data": tiny.data / "isic2017"}), SIDE)


def test_the_digits_differ_by_seed_and_are_the_same_for_one() -> None:
    first, again, other = (probes.digits(SIDE, seed).images for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    assert len(probes.digits(SIDE).classes) == 10
