"""The explorer of a selection: a kept image beside its duplicates, at any eta, eps, keep and ratio (sections 3.2, 4.5).

The clusters are found once; what a setting changes is the order within them and the cosines, which take no time.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

import ipywidgets
import numpy as np
import pyarrow as pa
from PIL import Image

import meddel_kernels as kernels
from compendium import live
from compendium.figures import style
from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.select import Ranking, budget_for, clusters_for, eta_for
from meddel.select.algorithm1 import Clustered, check_settings, check_threshold, clustered
from meddel.select.pool import check_embeddings
from meddel.select.ranking import budget_at, order_within, ranked

_NEIGHBOURS, _SIDE, _MOST_PLACES = 12, 96, 50


@dataclass(frozen=True)
class Explored:
    """The clusters of n images, their ids, and their pictures (uint8 [height, width, 3]), by row of the index."""

    found: Clustered
    k: int
    ids: Sequence[str]
    images: Sequence[np.ndarray]

    def ranking(self, eps: float, keep: Keep) -> Ranking:
        """Return what `meddel.select.rank` returns at these settings, with the clusters found before."""
        check_settings(len(self.ids), self.k, 1, eps, keep)
        labels, distances = self.found.clusters.labels, self.found.clusters.distances
        inside, offsets = order_within(labels, distances, self.k, eps=eps, keep=keep, drawn=self.found.drawn)
        cosine, partner = kernels.row_max_cosine(self.found.unit, inside, offsets)
        return ranked(labels, distances, cosine, partner, offsets, eps=eps, by_id=self.found.by_id)


def explore(
    embeddings: np.ndarray,
    index: pa.Table,
    images: Sequence[np.ndarray],
    rng: np.random.Generator,
    *,
    k: int | None = None,
    iterations: int = 50,
) -> Explored:
    """Cluster the images of an index as `meddel.select.rank` does; an equal generator gives equal clusters."""
    check_embeddings(embeddings, index)
    n, k = index.num_rows, clusters_for(index.num_rows) if k is None else k
    if len(images) != n:
        raise MedDELError(f"{len(images)} images for an index of {n}", fix="give equal rows")
    check_settings(n, k, iterations, 1.0, "near")
    return Explored(clustered(embeddings, index, rng, k, iterations, "auto", None), k, index["id"].to_pylist(), images)


class Answer(NamedTuple):
    """The first `budget` images of a `ranking`, which are `kept` (bool [n]).

    `eta` is the least threshold that keeps exactly so many, None if none does; `heads` are the kept images which made
    others redundant, the one with most of them first.
    """

    ranking: Ranking
    budget: int
    eta: float | None
    kept: np.ndarray
    heads: np.ndarray


def answer(explored: Explored, *, ratio: float, eps: float, keep: Keep, eta: float | None = None) -> Answer:
    """Return what MedDEL selects: the share `ratio`, or what the threshold `eta` keeps if one is given."""
    ranking, n = explored.ranking(eps, keep), len(explored.ids)
    if eta is None:
        budget, eta = budget_for(ratio, n), eta_for(ranking, ratio)
        if eta is not None and np.searchsorted(ranking.ascending, eta, side="right") != budget:
            eta = None  # cosines tie
    else:
        check_threshold(eta)
        budget = budget_at(ranking, eta, eps)
    kept = np.zeros(n, bool)
    kept[ranking.order[:budget]] = True
    by_id = explored.found.by_id
    counts = np.bincount(ranking.partner[~kept & (ranking.partner >= 0)], minlength=n)[by_id]
    ordered = by_id[np.argsort(-counts, kind="stable")][: np.count_nonzero(counts)]
    return Answer(ranking, budget, eta, kept, ordered[kept[ordered]])


def explorer_view(
    explored: Explored,
    *,
    ratio: float = 0.2,
    eps: float = 0.9,
    keep: Keep = "near",
    eta: float | None = None,
    place: int = 1,
) -> str:
    """Return as HTML what the settings keep (`answer`), and one kept image beside those which it made redundant.

    `place` counts the kept images from 1, the one which made most others redundant. At most 12 of those are shown,
    evenly spaced from the most to the least similar.
    """
    found = answer(explored, ratio=ratio, eps=eps, keep=keep, eta=eta)
    lines = [f'<div style="font-family:sans-serif"><p>{_summary(found, eps, keep)}</p>']
    if not len(found.heads):
        return "".join([*lines, "<p>No kept image made another one redundant.</p></div>"])
    place = min(max(place, 1), len(found.heads))
    head, ranking = int(found.heads[place - 1]), found.ranking
    rows = np.flatnonzero(~found.kept & (ranking.partner == head))
    rows = rows[np.argsort(-ranking.cosine[rows], kind="stable")]
    shown = rows[np.unique(np.linspace(0, len(rows) - 1, min(_NEIGHBOURS, len(rows))).astype(int))]
    lines.append(
        f"<p>Kept image {place} of {len(found.heads):,} that made others redundant, in cluster "
        f"{ranking.cluster[head]}: {len(rows):,} are deleted for it, {len(shown)} of them are shown.</p>"
    )
    cards = [_card(explored, head, "kept", style.BLUE, f"distance {ranking.distance[head]:.3f}")]
    for row in shown:
        caption = f"cosine {ranking.cosine[row]:.5f}<br>distance {ranking.distance[row]:.3f}"
        cards.append(_card(explored, int(row), "deleted", style.RED, caption))
    return "".join([*lines, '<div style="display:flex;flex-wrap:wrap;gap:8px">', *cards, "</div></div>"])


def explorer_sliders(
    explored: Explored, *, ratio: float = 0.2, eps: float = 0.9, keep: Keep = "near"
) -> ipywidgets.VBox | None:
    """Return `explorer_view` with sliders, of which the last moved of eta and ratio decides; None where nobody can."""
    if not live.attended():
        return None
    # eta is stretched towards 1, where the cosines of many encoders are
    etas = [1 - 10 ** (-step / 20) for step in range(121)]
    start = eta_for(explored.ranking(eps, keep), ratio)
    nearest = min(etas, key=lambda eta: abs(eta - (0.95 if start is None else start)))
    farthest = max(1.0, eps, 1.05 * float(explored.found.clusters.distances.max()))
    chosen = [(f"{eta:.6f}", eta) for eta in etas]
    share = {"min": min(0.01, ratio), "max": 1, "step": 0.01, "readout_format": ".0%"}
    controls = {
        "cut": ipywidgets.ToggleButtons(options=["ratio", "eta"], description="decided by"),
        "ratio": ipywidgets.FloatSlider(ratio, description="ratio", **share),
        "eta": ipywidgets.SelectionSlider(options=chosen, value=nearest, description="eta"),
        "eps": ipywidgets.FloatSlider(eps, min=min(0.01, eps), max=farthest, step=0.01, description="eps"),
        "keep": ipywidgets.ToggleButtons(options=get_args(Keep), value=keep, description="keep"),
        "place": ipywidgets.IntSlider(1, min=1, max=_MOST_PLACES, description="kept image"),
    }
    controls["ratio"].observe(lambda _: setattr(controls["cut"], "value", "ratio"), "value")
    controls["eta"].observe(lambda _: setattr(controls["cut"], "value", "eta"), "value")

    def view(cut: str, eta: float, **settings: object) -> str:
        return explorer_view(explored, eta=eta if cut == "eta" else None, **settings)

    return live.with_controls(view, controls)


def _summary(found: Answer, eps: float, keep: Keep) -> str:
    ranking, n = found.ranking, len(found.kept)
    outliers = int((ranking.outlier & ~found.kept).sum())
    duplicates = int((~found.kept & (ranking.partner >= 0)).sum())
    filled = int((ranking.outlier & found.kept).sum())
    threshold = "no eta keeps exactly so many" if found.eta is None else f"eta {found.eta:.6f}"
    return (
        f"<b>{found.budget:,} of {n:,} images kept ({found.budget / n:.1%})</b>: {threshold}, eps {eps:.3g}, "
        f"keep {keep}. Deleted: {duplicates:,} duplicates, {outliers:,} outliers, "
        f"{n - found.budget - outliers - duplicates:,} first of a cluster and not drawn. "
        + (f"{filled:,} outliers fill up the ratio." if filled else "")
    )


def _card(explored: Explored, row: int, fate: str, colour: str, caption: str) -> str:
    name, stream = html.escape(explored.ids[row]), io.BytesIO()
    image = Image.fromarray(np.asarray(explored.images[row])).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    image.save(stream, "JPEG", quality=85)
    source = f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
    return (
        f'<figure style="margin:0;width:{_SIDE + 8}px;font-size:11px;line-height:1.3">'
        f'<img src="{source}" width="{_SIDE}" height="{_SIDE}" alt="{fate} image {name}" '
        f'title="{name}" style="border:4px solid {colour}">'
        f"<figcaption><b>{fate}</b><br>{caption}</figcaption></figure>"
    )
