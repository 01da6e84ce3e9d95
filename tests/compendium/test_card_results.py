"""The tables and numbers of ``docs/card.md`` and the recorded run that they come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch

from compendium.card.networks import FULL
from compendium.card.score import Cells, iou
from compendium.card.training import Training, digest

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "data_manifests" / "results" / "card"
TEXT = " ".join((ROOT / "docs" / "card.md").read_text(encoding="utf-8").split())
CELLS = Cells(RECORDED / "cells.jsonl")
LINES = [json.loads(line) for line in (RECORDED / "kernels.jsonl").read_text(encoding="utf-8").splitlines()]
Row = dict[str, object]


def section(name: str) -> list[Row]:
    """The recorded lines of one section of the bench."""
    return [row for row in LINES if row["section"] == name]


def markdown(head: str, rows: Iterable[Iterable[object]]) -> str:
    """A table with a left column and numbers."""
    names = head.split(", ")
    lines = [names, ["---"] + ["---:"] * (len(names) - 1), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def further(row: Row) -> float:
    """The milliseconds of each iteration of K-means beyond the first."""
    return 1e3 * (row["ours"] - row["one_iteration"]) / (row["iterations"] - 1)


def assign_table() -> str:
    head = "data, d, k, ours, torch fp16, torch TF32, prepare, squared distances, sums of all rows twice, whole call"
    fields = ("ours", "torch_fp16", "torch_tf32", "prepare", "squares", "sums", "whole_assign")
    pairs = [{**a, **b} for a, b in zip(section("assign"), section("parts"), strict=True)]
    times = [[f"{1e3 * row[field]:.1f}" for field in fields] for row in pairs]
    return markdown(head, [[row["data"], row["d"], row["k"], *own] for row, own in zip(pairs, times, strict=True)])


def kmeans_table() -> str:
    head = "data, d, k, one iteration, iterations, all of them, each further iteration (ms), flash-kmeans 10 iterations"
    rows = []
    for row in section("kmeans"):
        theirs = f"{row['flash_kmeans_10']:.3f}" if row["flash_kmeans_10"] else ""
        first, made, ours = f"{row['one_iteration']:.3f}", row["iterations"], f"{row['ours']:.3f}"
        rows.append([row["data"], row["d"], row["k"], first, made, ours, f"{further(row):.1f}", theirs])
    return markdown(head, rows)


def cosine_table() -> str:
    found = {(row["operation"], row["n"]): row["seconds"] for row in section("cosines")}
    names, sizes = ({key[i]: None for key in found} for i in (0, 1))
    rows = [[name, *(f"{found[name, n]:.2f}" for n in sizes)] for name in names]
    return markdown(", ".join(["operation", *(f"{n // 1000} k" for n in sizes)]), rows)


@pytest.mark.parametrize("table", [assign_table, kmeans_table, cosine_table, CELLS.table])
def test_tables_are_those_of_the_recorded_run(table: Callable[[], str]) -> None:
    assert " ".join(table().split()) in TEXT, f"docs/card.md should hold:\n{table()}"


def test_kernels_in_the_text() -> None:
    (correct,) = section("correct")
    assert correct["wrong"] == 0 and all(row["wrong"] == 0 for row in section("assign"))
    measured = [row for row in section("kmeans") if row["flash_kmeans_10"]]
    ratios = [row["flash_kmeans_10"] / 10 * row["iterations"] / row["ours"] for row in measured]
    first = next(row for row in measured if row["d"] == 768 and row["k"] == 1000)
    best = min(row["ours"] for row in section("kmeans") if (row["d"], row["k"]) == (768, 1000))
    for wanted in (
        f"{correct['cases']} cases",
        f"{min(ratios):.2f} to {max(ratios):.2f} times as fast as flash-kmeans",
        f"{100 * first['flash_kmeans_10']:.1f} ms an iteration",
        f"{first['flash_kmeans_10'] / best:.2f} of its speed",
    ):
        assert wanted in TEXT, wanted


def test_study_in_the_text() -> None:
    rows = CELLS.rows.values()
    trained = {(row["seed"], row["arm"]): row for row in rows if row.get("pretrain_seconds")}
    speeds = [row["images"] / row["pretrain_seconds"] for row in trained.values()]
    search = json.loads((RECORDED / "recipe.json").read_text(encoding="utf-8"))
    gains = {
        (head, name): 100 * (iou(CELLS.rows[0, "all", name, head]) - iou(CELLS.rows[0, "step0", name, head]))
        for head in ("fine", "fine100")
        for name in ("kvasir_seg", "cvc_clinicdb", "isic2017")
    }
    of_seed_1 = 100 * (
        iou(CELLS.rows[1, "all", "cvc_clinicdb", "fine100"]) - iou(CELLS.rows[1, "step0", "cvc_clinicdb", "fine100"])
    )
    seconds = [row["head_seconds"] for row in rows if row["head"] == "fine100"]
    for wanted in (
        f"{min(speeds):,.0f} to {max(speeds):,.0f} images/s",
        f"{100 * search['tried']['pixels75']['gain']:+.2f} points",
        "{:+.1f} points on Kvasir-SEG, {:+.1f} on CVC-ClinicDB and {:+.1f} on ISIC 2017".format(
            *(value for key, value in gains.items() if key[0] == "fine")
        ),
        f"{gains['fine100', 'cvc_clinicdb']:+.1f} points on seed 0 and {of_seed_1:+.1f} on seed 1",
        f"{min(seconds):.1f} to {max(seconds):.1f} s",
    ):
        assert wanted in TEXT, wanted


def test_recorded_cells_begin_with_the_networks_of_this_code() -> None:
    training = Training.__new__(Training)  # without data
    training.size, training.starts, training.device = FULL, {}, torch.device("cpu")
    recorded = {seed: row["start"] for (seed, *_), row in CELLS.rows.items() if "start" in row}
    assert recorded == {seed: digest(training.start(seed)) for seed in recorded}
