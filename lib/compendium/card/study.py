"""Run the study on one GPU: pre-train a ViT-S on each arm's images and segment with it; see ``docs/protocol.md``.

It needs torch, timm, NumPy, Pillow and the pack of `compendium.card.pack`, and no network. Each finished cell is
written at once to ``cells.jsonl``; a second call goes on behind it.
"""

from __future__ import annotations

import argparse
import json
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

from compendium.card.networks import FULL, RECIPES, TINY, TOKENS, Size
from compendium.card.score import ARMS, PRIMARY_ARMS, PRIMARY_HEADS, SEARCH_SEED, SETS, Cells, counts, image_blind, iou
from compendium.card.training import State, Training, digest

SEEDS = tuple(range(10))
FIRST_SEEDS = SEEDS[:3]  # these get their primary arms before all else
SEARCH_SHARE, FINE_SHARE = 0.25, 0.12  # of the time: choosing the recipe, and fine-tuning on all labels at the end
Task = tuple[int, str, Sequence[str]]


class Study:
    """The order of the arms, the clock, and the cells."""

    def __init__(self, pack: Path, out: Path, minutes: float, size: Size) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.out, self.seconds, self.size = out, 60 * minutes, size
        self.cells, self.training = Cells(out / "cells.jsonl"), Training(pack, size)
        self.rows, self.say, self.elapsed = self.training.pack.rows, self.training.say, self.training.elapsed
        self.states: dict[tuple[int, str], tuple[State, dict[str, Any]]] = {}
        self.took: dict[str, float] = {}
        self.images = size.least_images

    def encoder_of(self, seed: int, arm: str, label: str, name: str) -> tuple[State, dict[str, Any]]:
        """Return the arm's encoder by the recipe `name`; it is pre-trained only once while this program runs."""
        if (seed, label) not in self.states:
            if arm == "step0":
                state = self.training.start(seed)
                known = {"start": digest(state), "images": 0, "rows": 0, "pretrain_seconds": 0.0}
            else:
                begun, recipe = self.elapsed(), RECIPES[name]
                images = self.images * recipe.lengths
                state, known = self.training.pretrain(self.rows[f"{seed}/{arm}"], seed, arm, recipe, images)
                self.took |= {"pretrain": self.elapsed() - begun, "speed": self.training.speed}
            self.states[seed, label] = state, {**known, "recipe": name, "encoder": digest(state)}
        return self.states[seed, label]

    def run_arm(self, seed: int, arm: str, heads: Sequence[str], name: str, label: str | None = None) -> None:
        """Pre-train an arm if needed and write each of its cells that is missing."""
        label = label or arm
        if self.cells.has(seed, label, heads):
            return
        state, known = self.encoder_of(seed, arm, label, name)
        begun, phases = self.elapsed(), []
        for set_name in SETS:
            for head in heads:
                if (seed, label, set_name, head) in self.cells.rows:
                    continue
                at = self.elapsed()
                found = self.training.head(state, seed, set_name, head)
                seconds = round(self.elapsed() - at, 2)
                cell = {"seed": seed, "arm": label, "set": set_name, "head": head, **known, "head_seconds": seconds}
                self.add(cell, found)
                phases.append(f"{set_name} {head} {100 * iou(found):.1f} ({seconds:.1f} s)")
        self.took["+".join(heads)] = self.elapsed() - begun
        self.say(f"seed {seed}, {label}: " + ", ".join(phases))

    def add(self, cell: dict[str, Any], found: dict[str, list[Any]]) -> None:
        """Write a cell with its score, its test rows and their counts."""
        test = self.rows[f"{cell['seed']}/{cell['set']}/test"].tolist()
        self.cells.add({**cell, "iou": round(iou(found), 5), "test": test, **found})

    def references(self, seed: int) -> None:
        """Write what needs no network: the image-blind mask and all-foreground."""
        for name in SETS:
            train, test = (self.training.pack.mask(self.rows[f"{seed}/{name}/{part}"]) for part in ("train", "test"))
            blind = image_blind(train.cpu().numpy())
            for arm, mask in (("image_blind", blind), ("all_foreground", np.ones_like(blind))):
                if (seed, arm, name, "none") not in self.cells.rows:
                    found = counts(torch.from_numpy(mask).to(test.device).expand_as(test), test)
                    self.add({"seed": seed, "arm": arm, "set": name, "head": "none"}, found)

    def warm_up(self) -> None:
        """Compile, and measure the speed of pre-training; nothing of it is kept."""
        rows, batch, recipe = self.rows[f"{SEARCH_SEED}/all"], self.size.batch, RECIPES["pixels75"]
        for steps in (4, 40) if self.training.device.type == "cuda" else (4, 1):
            self.training.pretrain(rows, SEARCH_SEED, "warm-up", recipe, steps * batch)
        self.took["speed"] = self.training.speed
        few = self.rows[f"{SEARCH_SEED}/{SETS[0]}/train"][: self.size.fine_batch]
        self.training.fine(self.training.decoder(), few, self.size.fine_epochs, self.training.random("warm-up"))
        self.say("warmed up")

    def choose(self) -> str | None:
        """Return the recipe with the greatest mean gain of all over step 0 on the search's seed, or None if late."""
        path = self.out / "recipe.json"
        if path.exists():
            known = json.loads(path.read_text(encoding="utf-8"))
            self.images, self.took = known["images"], {**self.took, **known["took"]}
            return known["recipe"]
        begun, tried = self.elapsed(), {}
        if begun >= self.seconds:
            return None
        self.run_arm(SEARCH_SEED, "step0", PRIMARY_HEADS, "")
        study_seconds = (1 - SEARCH_SHARE - FINE_SHARE) * self.seconds
        heads, speed = self.took.get("+".join(PRIMARY_HEADS), 0.0), self.took["speed"]
        fits = int((study_seconds / (2 * len(ARMS)) - heads) * speed) // 10_000 * 10_000  # two seeds of all arms
        self.images = min(self.size.most_images, max(self.size.least_images, fits))
        for name, recipe in RECIPES.items():
            cost = self.images * recipe.lengths / speed * (TOKENS / (TOKENS - recipe.kept) * 0.75) + heads
            late = self.elapsed() - begun + cost > SEARCH_SHARE * self.seconds
            dear = 2 * ((len(PRIMARY_ARMS) - 1) * cost + heads) > study_seconds
            if (tried and (late or dear)) or self.elapsed() >= self.seconds:
                reason = "an arm leave no two seeds" if dear else "more are over the search's share"
                self.say(f"recipe {name} is not tried: {cost:.0f} s {reason}")
            else:
                tried[name] = self.gain(name)
        if not tried:
            return None
        best = max(tried, key=lambda name: tried[name]["gain"])
        self.took = dict(tried[best]["took"])
        known = {"recipe": best, "images": self.images, "took": self.took, "tried": tried}
        path.write_text(json.dumps(known, indent=1), encoding="utf-8")
        self.say(f"recipe {best}, {self.images * RECIPES[best].lengths} images an encoder")
        return best

    def gain(self, name: str) -> dict[str, Any]:
        """Train all images by a recipe on the search's seed, and return the gains over step 0 and what it took."""
        label, cells = f"all:{name}", self.cells.rows
        self.run_arm(SEARCH_SEED, "all", PRIMARY_HEADS, name, label)
        self.states.pop((SEARCH_SEED, label), None)
        pairs = [(s, h) for s in SETS for h in PRIMARY_HEADS]
        scores = {(arm, *pair): cells[SEARCH_SEED, arm, *pair]["iou"] for arm in (label, "step0") for pair in pairs}
        gains = {f"{s} {h}": scores[label, s, h] - scores["step0", s, h] for s, h in pairs}
        mean = float(np.mean(list(gains.values())))
        self.say(f"recipe {name}: all - step 0 is {100 * mean:+.2f} points in the mean")
        return {"gain": mean, "gains": gains, "took": {"pretrain": 0.0, **self.took}}

    def run(self) -> None:
        """Run the whole study until the time is over."""
        self.warm_up()
        name = self.choose()
        known = {"torch": torch.__version__, "timm": timm.__version__, "size": vars(self.size)}
        known["device"] = torch.cuda.get_device_name() if self.training.device.type == "cuda" else "cpu"
        (self.out / "run.json").write_text(json.dumps(known, indent=1), encoding="utf-8")
        if name is not None:
            tasks = [(seed, arm, PRIMARY_HEADS) for seed in FIRST_SEEDS for arm in PRIMARY_ARMS]
            tasks += [task for seed in SEEDS for arm in ARMS if (task := (seed, arm, PRIMARY_HEADS)) not in tasks]
            tasks = [task for task in tasks if f"{task[0]}/all" in self.rows]
            self.work_off(tasks, name, (1 - FINE_SHARE) * self.seconds)
            done = [(seed, arm, ("fine",)) for seed, arm, heads in tasks if self.cells.has(seed, arm, heads)]
            self.work_off([task for task in done if task[1] in PRIMARY_ARMS], name, self.seconds)
        self.say("the end")
        print(self.cells.table())

    def work_off(self, tasks: Sequence[Task], name: str, until: float) -> None:
        """Run one arm after the other while the next is expected to end in time."""
        for seed, arm, heads in tasks:
            if self.cells.has(seed, arm, heads):
                continue
            made = arm == "step0" or (seed, arm) in self.states
            guess = 20.0 if self.size == FULL and "fine" in heads else 0.0
            expected = (0.0 if made else self.took.get("pretrain", 0.0)) + self.took.get("+".join(heads), guess)
            if self.elapsed() + expected > until:
                self.say(f"seed {seed}, {arm} {'+'.join(heads)}: {expected:.0f} s do not fit any more")
                return
            try:
                self.references(seed)
                self.run_arm(seed, arm, heads, name)
            except Exception:
                self.say(f"seed {seed}, {arm} failed:\n{traceback.format_exc()[-2000:]}")


def main() -> None:
    """Read the command line and run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, required=True, help="folder that compendium.card.pack made")
    parser.add_argument("--out", type=Path, required=True, help="folder for the cells")
    parser.add_argument("--minutes", type=float, default=7, help="no arm is begun that would end later")
    parser.add_argument("--tiny", action="store_true", help="a tiny network and a few steps, for a try")
    wanted = parser.parse_args()
    Study(wanted.pack, wanted.out, wanted.minutes, TINY if wanted.tiny else FULL).run()


if __name__ == "__main__":
    main()
