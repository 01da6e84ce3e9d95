"""What a person may do with each data set, by its licence: a map of sets against uses (section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from compendium.figures import style
from datadel.manifest import USES, Manifest
from meddel.errors import MedDELError

_MEANING = {
    "yes": (style.BLUE, "allowed", "white"),
    "ask": (style.YELLOW, "ask first", "black"),
    "no": (style.RED, "not allowed", "white"),
    "unknown": (style.LIGHT, "not stated, or in conflict", "black"),
}
_COLUMNS = {"open": "fetched at once", "form": "after a form", "account": "with an account", "request": "on request"}


def permissions(manifests: Sequence[Manifest]) -> Figure:
    """Draw for each set whether its licence allows research, commercial use and passing it on, and how to get it.

    Parameters
    ----------
    manifests : sequence of Manifest
        One row each, in this order.

    Raises
    ------
    MedDELError
        There is no set.
    """
    if not manifests:
        raise MedDELError("no set to draw", fix="give at least one manifest")
    kinds = list(_MEANING)
    values = [[kinds.index(one.uses[use]) for use in USES] for one in manifests]
    colours = ListedColormap([colour for colour, _, _ in _MEANING.values()])
    with style.styled():
        figure, (axis,) = style.new(1, 1, 6.6, 0.27 * len(manifests) + 1.5)
        axis.imshow(values, cmap=colours, norm=BoundaryNorm(range(len(kinds) + 1), len(kinds)), aspect="auto")
        for row, one in enumerate(manifests):
            for column, use in enumerate(USES):
                kind = one.uses[use]
                axis.text(column, row, kind, ha="center", va="center", fontsize=7.5, color=_MEANING[kind][2])
            axis.text(len(USES) - 0.4, row, _COLUMNS.get(one.access, "nothing to fetch"), va="center", fontsize=8)
        axis.set_xticks(range(len(USES)), USES)
        axis.set_yticks(range(len(manifests)), [one.name for one in manifests])
        axis.tick_params(length=0)
        axis.grid(False)
        axis.spines[:].set_visible(False)
        handles = [Patch(facecolor=colour, label=label) for colour, label, _ in _MEANING.values()]
        figure.legend(handles=handles, loc="outside lower left", ncols=4, fontsize=8)
        free = sum(one.uses["commercial"] == "yes" for one in manifests)
        known = sum("unknown" not in one.uses.values() for one in manifests)
        style.message(
            figure, f"{free} of {len(manifests)} sets may be used for anything; {known} state their terms clearly"
        )
    lines = [f"{one.name}: " + ", ".join(f"{use} {one.uses[use]}" for use in USES) for one in manifests]
    return style.describe(figure, f"What the licences of {len(manifests)} data sets allow. {'; '.join(lines)}.")
