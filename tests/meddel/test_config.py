"""Settings are checked before anything runs, and what is wrong is said in one line."""

from __future__ import annotations

from pathlib import Path

import pydantic
import pytest

from meddel import config
from meddel.config import Profile, validated
from meddel.errors import MedDELError

NAMES = ("smoke", "laptop", "paper")


@pytest.mark.parametrize("name", NAMES)
def test_every_profile_is_valid_and_immutable(name: str) -> None:
    found = config.profile(name)
    assert found.name == name
    assert all(0 < ratio < 1 for ratio in found.ratios)
    assert hash(found) == hash(config.profile(name))
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        found.seeds = 5


def test_paper_holds_what_the_paper_prints() -> None:
    paper = config.profile("paper")
    assert (paper.encoder.image_size, paper.encoder.width, paper.encoder.depth) == (224, 768, 12)
    assert (paper.pretrain.method, paper.pretrain.batch, paper.pretrain.lr) == ("mae", 16, 1.5e-4)
    assert paper.pretrain.images_seen == 200 * 88_282
    assert paper.select.eps == 0.9
    assert paper.embedder == "hub"


def test_laptop_has_at_least_three_seeds() -> None:
    assert config.profile("laptop").seeds >= 3


@pytest.mark.parametrize(("changes", "said"), [
    ({"seed": 3}, "seed: Extra inputs"),
    ({"seeds": 0}, "seeds: .*greater than 0"),
    ({"seeds": "many"}, "seeds: .*integer"),
    ({"ratios": (0.05, 1.2)}, r"retention ratio 1.2 is outside \(0, 1\]"),
    ({"ratios": (0.0,)}, r"retention ratio 0.0 is outside \(0, 1\]"),
    ({"compute_shares": (2.0,)}, "ratio 2.0"),
    ({"encoder": {"image_size": 50, "patch_size": 8}}, "encoder: .*50 is no multiple of patch_size 8"),
    ({"encoder": {"width": 10, "heads": 3}}, "encoder: .*width 10 is no multiple of heads 3"),
    ({"pretrain": {"method": "dino"}}, "pretrain.method"),
    ({"segment": {"heads": ("unet",)}}, "segment.heads.0"),
    ({"select": {"k": 0}}, "select.k"),
])  # fmt: skip
def test_a_wrong_setting_is_named_in_one_line(changes: dict, said: str) -> None:
    with pytest.raises(MedDELError, match=said) as error:
        config.profile("smoke", **changes)
    assert "\n" not in str(error.value)


def test_an_unknown_profile_is_told_the_known_ones() -> None:
    with pytest.raises(MedDELError, match=r"unknown profile 'smok'.*smoke, laptop, paper"):
        config.profile("smok")


@pytest.mark.parametrize("ratio", [0, 1.2, -0.5, float("nan"), float("inf")])
def test_ratios_outside_are_refused(ratio: float) -> None:
    with pytest.raises(MedDELError, match=r"outside \(0, 1\]"):
        config.check_ratio(ratio)


def test_ratios_inside_pass() -> None:
    assert config.check_ratio(1) == 1.0
    assert config.check_ratio(1e-6) == 1e-6


def test_a_run_counts_its_seeds_from_the_first(tmp_path: Path) -> None:
    run = config.run("smoke", seed=4, data=tmp_path, out=tmp_path.parent / "out")
    assert run.seeds == tuple(range(4, 4 + config.profile("smoke").seeds))
    assert run.data == tmp_path
    assert not run.generated
    generated = config.run(data="", out=tmp_path)
    assert generated.generated and generated.data == tmp_path / "data"
    assert {run: 1}[config.run("smoke", seed=4, data=tmp_path, out=tmp_path.parent / "out")] == 1


def test_a_run_refuses_what_it_cannot_use(tmp_path: Path) -> None:
    with pytest.raises(MedDELError, match="no such folder"):
        config.run(data=tmp_path / "none")
    with pytest.raises(MedDELError, match="seed"):
        config.run(seed=-1)
    with pytest.raises(MedDELError, match="output folder is inside the data folder"):
        config.run(data=tmp_path, out=tmp_path / "sub" / "out")


def test_validated_builds_from_lists_as_json_gives_them() -> None:
    found = validated(Profile, {"name": "smoke", "ratios": [0.1], "seeds": 1, "segment": {"heads": ["probe"]}})
    assert found.ratios == (0.1,)
    assert found.segment.heads == ("probe",)
    assert validated(Profile, found.model_dump(mode="json")) == found
