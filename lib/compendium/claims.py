"""What the paper claims, section by section, and how a notebook sets its own result beside it.

The claims are in our words; their numbers are computed from the published tables (`compendium.published`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from compendium import published, verdicts
from meddel.errors import MedDELError

SECTIONS = {
    "1": "Introduction", "3.1": "DataDEL", "3.2": "MedDEL", "3.3": "NormDEL", "4.1": "Settings",
    "4.2": "Effective data utilisation", "4.3": "Storage saving", "4.4": "Computing power saving",
    "4.5": "Visualisation", "4.6": "Ablation",
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A claim: a short key, the paper's section, the claim in our words, and the published number as text."""

    key: str
    section: str
    claim: str
    published: str


def claims(section: str | None = None) -> list[Claim]:
    """Return the paper's claims of one section, or all of them in the paper's order.

    Raises
    ------
    MedDELError
        The section is none of `SECTIONS`.
    """
    if section is not None and section not in SECTIONS:
        raise MedDELError(f"no section {section!r}", fix=f"choose one of {', '.join(SECTIONS)}")
    every = [*_data_claims(), *_method_claims(), *_result_claims()]
    return [claim for claim in every if section in (None, claim.section)]


def compare(section: str, ours: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Set our results beside a section's claims.

    Parameters
    ----------
    section : str
        Key of `SECTIONS`.
    ours : mapping
        Claim's key to (our result as text, verdict).

    Returns
    -------
    DataFrame
        claim, published, ours, verdict: one row for each claim of the section. A claim without an entry reads
        "not testable here".

    Raises
    ------
    MedDELError
        A key is no claim of the section, or a verdict is unknown.
    """
    table = claims(section)
    unknown = set(ours) - {claim.key for claim in table}
    if unknown:
        raise MedDELError(f"section {section} has no claim {', '.join(sorted(unknown))}", fix="see claims(section)")
    rows = []
    for claim in table:
        result, verdict = ours.get(claim.key, ("–", "not testable here"))
        rows.append((claim.claim, claim.published, result, verdicts.check(verdict)))
    return pd.DataFrame(rows, columns=["claim", "published", "ours", "verdict"])


def _data_claims() -> list[Claim]:
    number = {key: entry.value for key, entry in published.printed().items()}
    sets = published.table1()
    return [
        Claim("storage", "1", "Storage that a day's endoscopy frames need", f"{number['storage_tb']:,.0f} TB"),
        Claim("hours", "1", "Time for one pass of a network over a day's frames", f"{number['hours']:,.0f} h"),
        Claim(
            "core_share", "1", "A small core of the data is enough, and the rest of the time is saved",
            f"{number['core_share']:.0%}; {number['hours_saved']:,.0f} h saved",
        ),
        Claim("sets", "3.1", "Number of data sets brought together", f"{len(sets)} sets"),
        Claim("samples", "3.1", "Number of samples in them", "millions"),
        Claim("centres", "3.1", "Number of medical centres", f"{number['centres']:.0f} centres"),
    ]  # fmt: skip


def _method_claims() -> list[Claim]:
    number = {key: entry.value for key, entry in published.printed().items()}
    levels = published.thresholds().sort_values("images_kept")
    first, last = levels.iloc[0], levels.iloc[-1]
    best = published.table3().sort_values("normdel").groupby("dataset").ratio.last()
    return [
        Claim(
            "threshold", "3.2", "The threshold eta alone sets the share of images kept",
            f"eta {first.eta:.2f} keeps {first.images_kept:,.0f} of {last.images_kept:,.0f} ({first.exact_ratio:.2%})",
        ),
        Claim("pairs", "3.2", "Clusters divide the number of comparisons by k", f"{number['pairs']:,.0f} without them"),
        Claim(
            "fig1", "3.3", "NormDEL puts the small subset above all data although its mIoU is lower",
            f"{number['fig1_normdel_small']:.2%} against {number['fig1_normdel_all']:.2%}",
        ),
        Claim(
            "ranking", "3.3", "NormDEL is highest at the smallest ratio",
            f"{(best == best.min()).sum()} of {len(best)} sets at {best.min():.0%}",
        ),
        Claim(
            "equal_compute", "4.1", "Every ratio sees about the same number of images in pre-training",
            f"{levels.images_seen.min() / 1e6:.1f}–{levels.images_seen.max() / 1e6:.1f} million",
        ),
        Claim(
            "settings", "4.1", "MAE with a ViT-Base, AdamW, cosine schedule",
            f"batch {number['batch']:.0f}, peak learning rate {number['peak_lr']:g}",
        ),
    ]  # fmt: skip


def _result_claims() -> list[Claim]:
    means = published.mean_miou().set_index("ratio")
    least = means.index.min()
    ends = published.fig3().sort_values("epoch").groupby(["ratio", "dataset"]).miou.last().groupby("ratio").mean()
    time = published.pretraining_time().query("ratio == 0.2")
    ablation = published.generalisation_means().set_index(["selector", "ratio"]).mean_miou
    wins = f"{means.sets_above_all[0.05]} of {len(published.segmentation_sets())} sets higher"
    return [
        Claim(
            "curves", "4.2", "Fine-tuning after pre-training on 5 % follows the curve of all data",
            f"end of the curves, mean of sets: {ends[0.05]:.2%} against {ends[1.0]:.2%}",
        ),
        Claim(
            "comparable", "4.3", "5 % of the images give a segmentation comparable with all of them",
            f"mean mIoU {means.mean_miou[0.05]:.2%} against {means.mean_miou[1.0]:.2%}; {wins}",
        ),
        Claim("storage_saved", "4.3", "Storage falls with the share kept", f"{1 - least:.0%} at {least:.0%}"),
        Claim(
            "fewer_epochs", "4.4", "A subset needs few pre-training epochs",
            f"at 20 %, {time.epochs_first.min()} instead of {time.epochs_last.max()} epochs cost "
            f"{100 * time.gain.mean():.2f} points of mIoU, mean of sets",
        ),
        Claim("neighbours", "4.5", "Deleted images look like the kept one of their cluster", "pictures, no number"),
        Claim(
            "beats_random_5", "4.6", "MedDEL beats random selection at 5 % on sets not trained on",
            f"mean mIoU {ablation['meddel', 0.05]:.3f} against {ablation['random', 0.05]:.3f}",
        ),
        Claim(
            "beats_random_20", "4.6", "MedDEL beats random selection at 20 % on sets not trained on",
            f"mean mIoU {ablation['meddel', 0.2]:.3f} against {ablation['random', 0.2]:.3f}",
        ),
        Claim(
            "half_is_enough", "4.6", "Half of the images generalise as well as all",
            f"mean mIoU {ablation['meddel', 0.5]:.3f} against {ablation['all', 1.0]:.3f}",
        ),
    ]  # fmt: skip
