"""The claims of the paper, section by section, each beside a notebook's own result.

The claims are in our words in ``data_manifests/paper/claims.csv``; their numbers are computed from the published
tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from compendium import published
from meddel.errors import MedDELError
from meddel.evidence import verdicts

SECTIONS = {
    "1": "Introduction", "3.1": "DataDEL", "3.2": "MedDEL", "3.3": "NormDEL", "4.1": "Settings",
    "4.2": "Effective data utilisation", "4.3": "Storage saving", "4.4": "Computing power saving",
    "4.5": "Visualisation", "4.6": "Ablation",
}  # fmt: skip
_VERDICTS = {True: "reproduced", False: "not reproduced"}


def claims(section: str | None = None) -> pd.DataFrame:
    """Return the paper's claims of one section, or all in its order: key, section, claim, published (as text)."""
    if section is not None and section not in SECTIONS:
        raise MedDELError(f"no section {section!r}", fix=f"choose one of {', '.join(SECTIONS)}")
    table, numbers = published.read("claims"), _numbers()
    table["published"] = [text.format(**numbers) for text in table.published]
    return table if section is None else table[table.section == section].reset_index(drop=True)


def compare(section: str, ours: Mapping[str, tuple[str, str | bool]]) -> pd.DataFrame:
    """Set our results beside a section's claims: claim, published, ours, verdict.

    `ours` maps a claim's key to our result as text and a verdict, or whether it was reproduced. A claim without an
    entry is "not testable here".
    """
    table = claims(section)
    unknown = set(ours) - set(table.key)
    if unknown:
        raise MedDELError(f"section {section} has no claim {', '.join(sorted(unknown))}", fix="see claims(section)")
    results = [ours.get(key, ("–", "not testable here")) for key in table.key]
    table["ours"] = [text for text, _ in results]
    table["verdict"] = [_VERDICTS[bool(v)] if not isinstance(v, str) else verdicts.check(v) for _, v in results]
    return table[["claim", "published", "ours", "verdict"]]


def _numbers() -> dict[str, Any]:
    """Return what the claims' texts refer to by name."""
    levels = published.thresholds().sort_values("images_kept")
    best = published.table3().sort_values("normdel").groupby("dataset").ratio.last()
    means = published.mean_miou().set_index("ratio")
    ends = published.fig3().sort_values("epoch").groupby(["ratio", "dataset"]).miou.last().groupby("ratio").mean()
    time = published.pretraining_time().query("ratio == 0.2")
    other = published.generalisation_means()
    return {
        **published.numbers(),
        **{f"{row.selector}_{100 * row.ratio:.0f}": row.mean_miou for row in other.itertuples()},
        "first": levels.iloc[0],
        "last": levels.iloc[-1],
        "seen_low": levels.images_seen.min() / 1e6,
        "seen_high": levels.images_seen.max() / 1e6,
        "sets": len(published.table1()),
        "scored_sets": len(best),
        "best": best.min(),
        "best_sets": (best == best.min()).sum(),
        "end_5": ends[0.05],
        "end_100": ends[1.0],
        "mean_5": means.mean_miou[0.05],
        "mean_100": means.mean_miou[1.0],
        "higher": means.sets_above_all[0.05],
        "least": means.index.min(),
        "saved": 1 - means.index.min(),
        "few": time.epochs_first.min(),
        "many": time.epochs_last.max(),
        "lost": 100 * time.gain.mean(),
    }
