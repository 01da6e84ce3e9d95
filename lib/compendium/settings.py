"""The settings of section 4.1: what the paper prints, what follows from it, what it leaves open, and this run's."""

from __future__ import annotations

import pandas as pd

from compendium import published
from meddel.config import Run
from meddel.select import budget_for

PRINTED, DERIVED, OPEN = "printed", "derived", "not stated"


def settings(run: Run) -> pd.DataFrame:
    """Return the settings of the paper beside those of a run.

    Returns
    -------
    DataFrame of str
        step, setting, paper ("–" where it states nothing), stated (one of `PRINTED`, `DERIVED`, `OPEN`), this_run.
    """
    rows = [*_embedding(run), *_pretraining(run), *_segmentation(run)]
    return pd.DataFrame(rows, columns=["step", "setting", "paper", "stated", "this_run"])


def follows_the_paper(run: Run) -> bool:
    """Tell whether a run pre-trains as the paper prints it: MAE, ViT-Base, its batch and its peak learning rate."""
    number = published.printed()
    used, encoder = run.profile.pretrain, run.profile.encoder
    return (
        (used.method, encoder.width, encoder.depth) == ("mae", int(number["embedding_width"].value), 12)
        and used.batch == number["batch"].value
        and used.lr == number["peak_lr"].value
    )


def compute(run: Run, images: int) -> pd.DataFrame:
    """Return how often a run sees each image at its ratios when the compute is equal (Table 2).

    Parameters
    ----------
    run : Run
    images : int
        Images in the pool.

    Returns
    -------
    DataFrame
        ratio (fraction), images_kept, pretraining_epochs (float: passes over the kept images), images_seen; by ratio,
        all images last.
    """
    chosen, rows = run.profile.pretrain, []
    for ratio in (*sorted(run.profile.ratios), 1.0):
        kept = budget_for(ratio, images)
        seen = chosen.images_seen if chosen.equal == "compute" else max(1, round(chosen.images_seen * kept / images))
        rows.append((ratio, kept, seen / kept, seen))
    return pd.DataFrame(rows, columns=["ratio", "images_kept", "pretraining_epochs", "images_seen"])


def _embedding(run: Run) -> list[tuple[str, str, str, str, str]]:
    number = published.printed()
    chosen, step = run.profile.select, "select"
    embedder = {"own": "pre-trained by this run on the whole pool", "hub": "a ViT-Base from the hub"}
    clusters = "sqrt(n / 2)" if chosen.k is None else f"{chosen.k}"
    return [
        (step, "encoder that embeds", "ViT", PRINTED, "ViT"),
        (step, "its weights", "–", OPEN, embedder[run.profile.embedder]),
        (
            step, "width of an embedding", f"{number['embedding_width'].value:.0f}", PRINTED,
            f"{run.profile.encoder.width if run.profile.embedder == 'own' else number['embedding_width'].value:.0f}",
        ),
        (step, "number of clusters k", "–", OPEN, clusters),
        (step, "distance and initialisation of K-means", "–", OPEN, "Euclidean on unit length, k-means++"),
        (step, "eps", f"{number['eps'].value:g}", PRINTED, f"{chosen.eps:g}"),
        (step, "distance that eps is compared with", "–", OPEN, "Euclidean, unit embedding to centroid"),
        (step, "image of a pair that stays", "near in the text, far in Algorithm 1", PRINTED, chosen.keep),
    ]  # fmt: skip


def _pretraining(run: Run) -> list[tuple[str, str, str, str, str]]:
    number, levels = published.printed(), published.thresholds()
    chosen, encoder, step = run.profile.pretrain, run.profile.encoder, "pre-train"
    low, high = levels.images_seen.min() / 1e6, levels.images_seen.max() / 1e6
    masked = f"{chosen.mask_ratio:g}" if chosen.method == "mae" else "none: SimCLR"
    return [
        (step, "method", "MAE", PRINTED, {"mae": "MAE", "simclr": "SimCLR"}[chosen.method]),
        (step, "encoder", "ViT-Base", PRINTED, f"ViT, width {encoder.width}, depth {encoder.depth}"),
        (step, "batch", f"{number['batch'].value:.0f}", PRINTED, f"{chosen.batch}"),
        (step, "peak learning rate", f"{number['peak_lr'].value:g}", PRINTED, f"{chosen.lr:g}"),
        (step, "optimiser and schedule", "AdamW, cosine", PRINTED, "AdamW, warm-up and cosine"),
        (step, "images seen at every ratio", f"{low:.1f} to {high:.1f} million", DERIVED, f"{chosen.images_seen:,}"),
        (step, "image and patch, pixels", "–", OPEN, f"{encoder.image_size} and {encoder.patch_size}"),
        (step, "share of patches masked", "–", OPEN, masked),
        (step, "weight decay", "–", OPEN, f"{chosen.weight_decay:g}"),
        (step, "initial weights", "–", OPEN, "random"),
    ]


def _segmentation(run: Run) -> list[tuple[str, str, str, str, str]]:
    chosen, step = run.profile.segment, "segment"
    ends = published.fig3().groupby("dataset").epoch.max()
    # Curves are read off a figure, so that the last epoch is a little short of the round number that was run.
    epochs = sorted({round(end / 100) * 100 for end in ends})
    names = {"mlp": "MLP, encoder fine-tuned", "probe": "MLP on the frozen encoder", "dpt": "DPT, encoder fine-tuned"}
    labels = "all" if chosen.labels is None else f"{chosen.labels}"
    parts = zip(chosen.shares, ("train", "validation", "test"), strict=True)
    shares = ", ".join(f"{share:.0%} {part}" for share, part in parts)
    return [
        (step, "head", "simple MLP", PRINTED, "; ".join(names[head] for head in chosen.heads)),
        (step, "epochs", ", ".join(map(str, epochs)), DERIVED, f"{chosen.epochs} (probe: {chosen.probe_epochs})"),
        (step, "labelled images", "–", OPEN, labels),
        (step, "batch", "–", OPEN, f"{chosen.batch}"),
        (step, "learning rate", "–", OPEN, f"{chosen.lr:g} (probe: {chosen.probe_lr:g})"),
        (step, "splits", "–", OPEN, f"official, else by video: {shares}"),
        (step, "epoch that counts", "last, without a validation set", DERIVED, "last, and best on validation"),
        (step, "seeds", "–", OPEN, ", ".join(map(str, run.seeds))),
        (step, "hardware", "–", OPEN, run.device),
    ]
