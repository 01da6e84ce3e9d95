"""Fig. 6: trained on one set, tested on another, random selection against MedDEL (section 4.6)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from compendium import published
from compendium.figures import style


@style.styled()
def fig6(results: pd.DataFrame | None = None) -> Figure:
    """Draw one heat map of train set x test set per selection and ratio, random and all images in the upper row.

    `results` are final scores of a run with one head, on the set that was trained on and on others (``set`` is
    ``"trained>tested"``); without them the paper's values are drawn. A title holds the mean over the pairs of different
    sets.
    """
    table = published.fig6() if results is None else _pairs(results)
    lines = _lines(table)
    sets = list(dict.fromkeys([*table.train_dataset, *table.test_dataset]))
    low, high = 100 * table.miou.min(), 100 * table.miou.max()
    columns, side = max(map(len, lines)), max(2.0, 0.6 * len(sets))
    size = (side * columns + 2.0, (side + 0.2) * len(lines) + 1.2)
    figure, axes = style.new(len(lines), columns, *size, sharex=True, sharey=True)
    shown, sentences = [], []
    for row, column in [(row, column) for row, line in enumerate(lines) for column in range(len(line))]:
        ratio, selector = lines[row][column]
        axis = axes[row * columns + column]
        part = table[(table.ratio == ratio) & (table.selector == selector)]
        wide = part.pivot(index="train_dataset", columns="test_dataset", values="miou")
        cells = 100 * wide.reindex(sets, columns=sets).to_numpy()
        shown.append(axis.imshow(cells, vmin=low, vmax=high, cmap="cividis"))
        for (y, x), value in [((y, x), cells[y, x]) for y in range(len(sets)) for x in range(len(sets))]:
            dark = value < (low + high) / 2
            axis.text(x, y, f"{value:.0f}", ha="center", va="center", color="white" if dark else "black", fontsize=8)
        mean = 100 * part[part.train_dataset != part.test_dataset].miou.mean()
        sentences.append(f"{style.arm(selector, ratio)} {mean:.1f}")
        axis.set_title(f"{style.arm(selector, ratio)}: mean {mean:.1f}")
        axis.set_xticks(range(len(sets)), sets, rotation=90)
        axis.set_yticks(range(len(sets)), sets)
        axis.tick_params(length=0, labelbottom=row + 1 == len(lines) or column >= len(lines[row + 1]))
        axis.grid(visible=False)
    for axis in axes:
        axis.set_visible(bool(axis.images))
    bar = figure.colorbar(shown[0], ax=axes, shrink=0.6)
    bar.set_label("test mIoU (%)")
    bar.outline.set_visible(False)
    figure.supylabel("trained on", fontsize=9)
    figure.supxlabel("tested on", fontsize=9)
    return style.finish(
        figure,
        f"{'Published' if results is None else 'Ours'}: segmentation of a set that was not trained on",
        f"{len(shown)} heat maps of test mIoU, training set by test set ({', '.join(sets)}). Means over pairs of "
        f"different sets, in %: {'; '.join(sentences)}.",
    )


def _pairs(final: pd.DataFrame) -> pd.DataFrame:
    """Return the mean foreground IoU over seeds of each training and test set, in the columns of `published.fig6`."""
    means = final.groupby(["selector", "ratio", "set"], as_index=False).foreground_iou.mean()
    trained, _, tested = means["set"].str.partition(">").T.to_numpy()
    tested = np.where(tested == "", trained, tested)
    return means.assign(train_dataset=trained, test_dataset=tested, miou=means.foreground_iou)


def _lines(table: pd.DataFrame) -> list[list[tuple[float, str]]]:
    """Return rows of panels as (ratio, selector): random and the references above, each selector below."""
    arms = sorted(set(zip(table.ratio, table.selector, strict=True)))
    references = [arm for arm in arms if arm[1] == "random"] + [arm for arm in arms if arm[1] in ("all", "none")]
    selectors = sorted({name for _, name in arms} - {"random", "all", "none"})
    lines = [references, *([arm for arm in arms if arm[1] == name] for name in selectors)]
    return [line for line in lines if line]
