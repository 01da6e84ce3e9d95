"""The score of the study on one GPU: counts of pixels, foreground IoU, the image-blind mask, cells and their table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

SETS = ("kvasir_seg", "cvc_clinicdb", "isic2017")
PRIMARY_ARMS = ("step0", "all", "random", "meddel_near", "meddel_far")
ARMS = (*PRIMARY_ARMS, "target_like", "k_center", "hierarchical", "cifar")
PRIMARY_HEADS = ("probe", "fine100")
SEARCH_SEED = 100
Row = dict[str, Any]


def counts(predicted: Tensor, masks: Tensor) -> dict[str, list[Any]]:
    """Count true positives, false positives and false negatives of each image; Dice is 1 where both are empty."""
    found = ((predicted & masks), (predicted & ~masks), (~predicted & masks))
    tp, fp, fn = (part.sum((1, 2)).cpu().numpy() for part in found)
    total = 2 * tp + fp + fn
    dice = np.where(total > 0, 2 * tp / np.maximum(total, 1), 1.0).round(5)
    return {"tp": tp.tolist(), "fp": fp.tolist(), "fn": fn.tolist(), "dice": dice.tolist()}


def iou(row: Row) -> float:
    """Return the foreground IoU over the data set: sum TP / sum (TP + FP + FN)."""
    return sum(row["tp"]) / max(1, sum(row["tp"]) + sum(row["fp"]) + sum(row["fn"]))


def image_blind(masks: np.ndarray) -> np.ndarray:
    """Return the mask [h, w] that, pasted on every training image, has the greatest foreground IoU there."""
    here = masks.reshape(len(masks), -1).sum(0).astype(np.int64)
    order = np.argsort(-here, kind="stable")
    hits = np.cumsum(here[order])
    scores = hits / np.maximum(1, len(masks) * np.arange(1, len(here) + 1) + here.sum() - hits)
    last = np.append(here[order][1:] != here[order][:-1], True)  # only where a threshold can end
    return (here >= here[order][np.argmax(np.where(last, scores, -1))]).reshape(masks.shape[1:])


class Cells:
    """The finished cells, one JSON line each, written and flushed at once."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:  # a line that was cut off
            path.write_bytes(whole)
        self.path, self.rows = path, {self.key(row): row for row in map(json.loads, whole.splitlines())}

    @staticmethod
    def key(row: Row) -> tuple[Any, ...]:
        """Return what names a cell."""
        return row["seed"], row["arm"], row["set"], row["head"]

    def add(self, row: Row) -> None:
        """Write a finished cell."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.rows[self.key(row)] = row

    def has(self, seed: int, arm: str, heads: Iterable[str]) -> bool:
        """Return whether these heads of an arm are finished on all sets."""
        return all((seed, arm, name, head) in self.rows for name in SETS for head in heads)

    def table(self) -> str:
        """Return, in Markdown, the mean foreground IoU over the seeds in %, and the gain over step 0 in points."""
        lines = [f"| head | arm | seeds | {' | '.join(SETS)} |", "| --- | --- | ---: |" + " ---: |" * len(SETS)]
        known = sorted({key[0] for key in self.rows} - {SEARCH_SEED})
        for head in (*PRIMARY_HEADS, "fine", "none"):
            for arm in (*ARMS, "image_blind", "all_foreground"):
                seeds = [seed for seed in known if self.has(seed, arm, (head,))]
                texts = []
                for name in SETS if seeds else ():
                    pairs = [[self.rows.get((s, a, name, head)) for a in (arm, "step0")] for s in seeds]
                    gains = [iou(row) - iou(base) for row, base in pairs if base and base is not row]
                    gain = f" ({100 * np.mean(gains):+.1f})" if gains else ""
                    texts.append(f"{100 * np.mean([iou(row) for row, _ in pairs]):.1f}{gain}")
                lines += [f"| {head} | {arm} | {len(seeds)} | {' | '.join(texts)} |"] if seeds else []
        return "\n".join(lines)
