"""The settings of section 4.1: what the paper prints, what follows from it, what it leaves open, and this run's."""

from __future__ import annotations

import pandas as pd

from compendium import published
from meddel.config import Run
from meddel.select import budget_for

OPEN = "not stated"
_METHODS = {"mae": "MAE", "simclr": "SimCLR"}
_HEADS = {"mlp": "MLP, encoder fine-tuned", "probe": "MLP on the frozen encoder"}


def settings(run: Run) -> pd.DataFrame:
    """Return the settings of the paper beside those of a run, from ``data_manifests/paper/settings.csv``.

    The columns are step, setting, paper ("–" where it states nothing), stated (printed, derived or not stated) and
    this_run; all are text.
    """
    profile, levels = run.profile, published.thresholds()
    own = profile.embedder == "own"
    ends = published.fig3().groupby("dataset").epoch.max()
    shares = zip(profile.segment.shares, ("train", "validation", "test"), strict=True)
    values = {
        **published.numbers(),
        **{name: getattr(profile, name) for name in ("encoder", "select", "pretrain", "segment")},
        "run": run,
        "weights": "pre-trained by this run on the whole pool" if own else "a ViT-Base from the hub",
        "width": profile.encoder.width if own else int(published.numbers()["embedding_width"]),
        "clusters": profile.select.k or "sqrt(n / 2)",
        "seen_low": levels.images_seen.min() / 1e6,
        "seen_high": levels.images_seen.max() / 1e6,
        "method": _METHODS[profile.pretrain.method],
        "masked": f"{profile.pretrain.mask_ratio:g}" if profile.pretrain.method == "mae" else "none: SimCLR",
        # Curves are read off a figure, so that the last epoch is a little short of the round number that was run.
        "epochs": ", ".join(map(str, sorted({round(end / 100) * 100 for end in ends}))),
        "heads": "; ".join(_HEADS[head] for head in profile.segment.heads),
        "labels": profile.segment.labels or "all",
        "shares": ", ".join(f"{share:.0%} {part}" for share, part in shares),
        "seeds": ", ".join(map(str, run.seeds)),
    }
    table = published.read("settings")
    for column in ("paper", "this_run"):
        table[column] = [text.format(**values) for text in table[column]]
    return table


def follows_the_paper(run: Run) -> bool:
    """Return whether a run pre-trains as the paper prints it: MAE, ViT-Base, its batch and its peak learning rate."""
    number, used, encoder = published.numbers(), run.profile.pretrain, run.profile.encoder
    shape = (used.method, encoder.width, encoder.depth) == ("mae", int(number["embedding_width"]), 12)
    return shape and used.batch == number["batch"] and used.lr == number["peak_lr"]


def compute(run: Run, images: int) -> pd.DataFrame:
    """Return how often a run sees each of a pool of `images` at its ratios (Table 2), all images last.

    The columns are ratio (fraction), images_kept, pretraining_epochs (passes over the kept images) and images_seen.
    """
    chosen, rows = run.profile.pretrain, []
    for ratio in (*sorted(run.profile.ratios), 1.0):
        kept = budget_for(ratio, images)
        seen = chosen.images_seen if chosen.equal == "compute" else max(1, round(chosen.images_seen * kept / images))
        rows.append((ratio, kept, seen / kept, seen))
    return pd.DataFrame(rows, columns=["ratio", "images_kept", "pretraining_epochs", "images_seen"])
