"""The explorer of a selection: a kept image beside those that it made redundant, at any eta, eps, keep and ratio."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import ipywidgets
import numpy as np
from PIL import Image

from compendium.figures import style
from compendium.live.one_pass import OnePass
from compendium.live.panel import Panel
from meddel.config import Keep
from meddel.errors import MedDELError
from meddel.select import budget_for
from meddel.select.algorithm1 import check_threshold
from meddel.select.ranking import Ranking, budget_at, eta_for

Cut = Literal["ratio", "eta"]
_NEIGHBOURS, _SIDE, _MOST_PLACES = 12, 96, 50


@dataclass(frozen=True)
class Explored:
    """What is explored.

    Attributes
    ----------
    passed : OnePass
        Of n images.
    ids : sequence of str
        By row of the index.
    images : sequence of ndarray of uint8 [height, width, 3]
        By row; only those that are shown are read, each once.
    """

    passed: OnePass
    ids: Sequence[str]
    images: Sequence[np.ndarray]
    _drawn: dict[int, str] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        n = len(self.passed.labels)
        if not len(self.ids) == len(self.images) == n:
            raise MedDELError(
                f"{len(self.ids)} ids and {len(self.images)} images for a pass over {n}", fix="give equal rows"
            )

    def picture(self, row: int) -> str:
        """Return one image as a small JPEG in a data address."""
        if row not in self._drawn:
            image = Image.fromarray(np.asarray(self.images[row])).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
            stream = io.BytesIO()
            image.save(stream, "JPEG", quality=85)
            self._drawn[row] = f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
        return self._drawn[row]


@dataclass(frozen=True)
class Answer:
    """What the settings select, by row of the index.

    Attributes
    ----------
    ranking : Ranking
        At eps and keep.
    budget : int
        Number of images kept: the first of the ranking.
    eta : float or None
        The least threshold that keeps exactly so many; None where none does: there are fewer than clusters, outliers
        fill up the ratio, or cosines tie.
    kept : bool [n]
    heads : int64 [h]
        Kept images that made others redundant, those that did so to most first, then by id.
    """

    ranking: Ranking
    budget: int
    eta: float | None
    kept: np.ndarray
    heads: np.ndarray

    def redundant(self, head: int) -> np.ndarray:
        """Return the rows that `head` made redundant, the most similar first: deleted ones whose partner it is."""
        rows = np.flatnonzero(~self.kept & (self.ranking.partner == head))
        return rows[np.argsort(-self.ranking.cosine[rows], kind="stable")]


def answer(passed: OnePass, *, cut: Cut, ratio: float, eta: float, eps: float, keep: Keep) -> Answer:
    """Return what MedDEL selects at these settings, without comparing any image again.

    Parameters
    ----------
    passed : OnePass
    cut : {"ratio", "eta"}
        Which of the two decides: as `meddel.select.algorithm1.select` does, or as its `at_threshold`.
    ratio : float
        Share to keep, in (0, 1].
    eta : float
        A cosine, from -1 to 1.
    eps : float
        Greatest distance to the centroid, above 0.
    keep : {"near", "far", "random"}
        One that `passed` was made for.

    Raises
    ------
    MedDELError
        A setting is out of range, or eps leaves no image to the threshold.
    """
    ranking = passed.ranking(eps, keep)
    if cut == "ratio":
        budget, found = budget_for(ratio, len(passed.labels)), eta_for(ranking, ratio)
        if found is not None and np.searchsorted(ranking.ascending, found, side="right") != budget:
            found = None
    else:
        check_threshold(eta)
        budget, found = budget_at(ranking, eta, eps), eta
    kept = np.zeros(len(passed.labels), bool)
    kept[ranking.order[:budget]] = True
    gone = np.flatnonzero(~kept & (ranking.partner >= 0))
    counts = np.bincount(ranking.partner[gone], minlength=len(kept))[passed.by_id]
    ordered = passed.by_id[np.argsort(-counts, kind="stable")][: np.count_nonzero(counts)]
    return Answer(ranking, budget, found, kept, ordered[kept[ordered]])


def explorer_view(
    explored: Explored,
    *,
    cut: Cut = "ratio",
    ratio: float = 0.2,
    eta: float = 0.95,
    eps: float = 0.9,
    keep: Keep = "near",
    place: int = 1,
) -> str:
    """Return the page: what the settings keep, and one kept image beside those that it made redundant.

    Parameters
    ----------
    explored : Explored
    cut, ratio, eta, eps, keep
        As for `answer`.
    place : int
        Which kept image, from 1, the one that made most others redundant; the last one if there are fewer.

    Returns
    -------
    str
        HTML. Of the redundant images at most 12 are shown, evenly spaced from the most to the least similar.

    Raises
    ------
    MedDELError
        As for `answer`.
    """
    found = answer(explored.passed, cut=cut, ratio=ratio, eta=eta, eps=eps, keep=keep)
    lines = [f'<div style="font-family:sans-serif"><p>{_summary(found, len(explored.ids), eps, keep)}</p>']
    if not len(found.heads):
        return "".join([*lines, "<p>No kept image made another one redundant.</p></div>"])
    place = min(max(place, 1), len(found.heads))
    head = int(found.heads[place - 1])
    rows = found.redundant(head)
    shown = rows[np.unique(np.linspace(0, len(rows) - 1, min(_NEIGHBOURS, len(rows))).astype(int))]
    distance, cosine = found.ranking.distance, found.ranking.cosine
    lines.append(
        f"<p>Kept image {place} of {len(found.heads):,} that made others redundant, in cluster "
        f"{found.ranking.cluster[head]}: {len(rows):,} went for it, {len(shown)} of them are shown.</p>"
    )
    cards = [_card(explored, head, "kept", style.BLUE, f"distance {distance[head]:.3f}")]
    for row in shown:
        cards.append(
            _card(explored, row, "deleted", style.RED, f"cosine {cosine[row]:.5f}<br>distance {distance[row]:.3f}")
        )
    return "".join([*lines, '<div style="display:flex;flex-wrap:wrap;gap:8px">', *cards, "</div></div>"])


def explorer_panel(explored: Explored, *, ratio: float = 0.2, eps: float = 0.9, keep: Keep = "near") -> Panel:
    """Return `explorer_view` with sliders; whichever of eta and ratio was moved last decides.

    Parameters
    ----------
    explored : Explored
    ratio, eps, keep
        Where the controls begin.
    """
    passed = explored.passed
    # eta is stretched towards 1, where the cosines of many encoders lie.
    etas = [1 - 10 ** (-step / 20) for step in range(121)]
    start = eta_for(passed.ranking(eps, keep), ratio)
    nearest = min(etas, key=lambda eta: abs(eta - (0.95 if start is None else start)))
    farthest = max(1.0, eps, 1.05 * float(passed.distances.max()))

    def view(**settings: object) -> str:
        return explorer_view(explored, **settings)

    def controls() -> dict[str, ipywidgets.DOMWidget]:
        return {
            "cut": ipywidgets.ToggleButtons(options=["ratio", "eta"], value="ratio", description="decided by"),
            "ratio": ipywidgets.FloatSlider(
                value=ratio, min=min(0.01, ratio), max=1, step=0.01, description="ratio", readout_format=".0%"
            ),
            "eta": ipywidgets.SelectionSlider(
                options=[(f"{eta:.6f}", eta) for eta in etas], value=nearest, description="eta"
            ),
            "eps": ipywidgets.FloatSlider(value=eps, min=min(0.01, eps), max=farthest, step=0.01, description="eps"),
            "keep": ipywidgets.ToggleButtons(options=list(passed.records), value=keep, description="keep"),
            "place": ipywidgets.IntSlider(value=1, min=1, max=_MOST_PLACES, description="kept image"),
        }

    return Panel(view, controls, sets={"ratio": ("cut", "ratio"), "eta": ("cut", "eta")})


def _summary(found: Answer, n: int, eps: float, keep: Keep) -> str:
    ranking = found.ranking
    outliers = int((ranking.outlier & ~found.kept).sum())
    duplicates = int((~found.kept & (ranking.partner >= 0)).sum())
    rest = n - found.budget - outliers - duplicates
    filled = int((ranking.outlier & found.kept).sum())
    threshold = "no eta keeps exactly so many" if found.eta is None else f"eta {found.eta:.6f}"
    return (
        f"<b>{found.budget:,} of {n:,} images kept ({found.budget / n:.1%})</b>: {threshold}, eps {eps:.3g}, "
        f"keep {keep}. "
        f"Gone: {duplicates:,} duplicates, {outliers:,} outliers, {rest:,} first of a cluster and not drawn. "
        + (f"{filled:,} outliers fill up the ratio." if filled else "")
    )


def _card(explored: Explored, row: int, what: str, colour: str, caption: str) -> str:
    name = html.escape(explored.ids[row])
    return (
        f'<figure style="margin:0;width:{_SIDE + 8}px;font-size:11px;line-height:1.3">'
        f'<img src="{explored.picture(int(row))}" width="{_SIDE}" height="{_SIDE}" alt="{what} image {name}" '
        f'title="{name}" style="border:4px solid {colour}">'
        f"<figcaption><b>{what}</b><br>{caption}</figcaption></figure>"
    )
