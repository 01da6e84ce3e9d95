"""Fig. 6: trained on one set, tested on another, random selection against MedDEL (section 4.6)."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from compendium import published
from compendium.figures import style


def fig6(results: pd.DataFrame | None = None) -> Figure:
    """Draw one heat map of train set x test set per selection and ratio.

    Parameters
    ----------
    results : DataFrame, optional
        selector, ratio, train_dataset, test_dataset, miou (fractions; one value a pair, such as the mean over seeds).
        Without it: the paper's values.

    Returns
    -------
    Figure
        Random and all images above, each selector below; a title holds the mean over the pairs of different sets.
    """
    table = published.fig6() if results is None else results
    lines = _lines(table)
    sets = list(dict.fromkeys([*table.train_dataset, *table.test_dataset]))
    low, high = 100 * table.miou.min(), 100 * table.miou.max()
    sentences = []
    with style.styled():
        columns = max(map(len, lines))
        side = max(2.0, 0.6 * len(sets))
        size = (side * columns + 2.0, (side + 0.2) * len(lines) + 1.2)
        figure, axes = style.new(len(lines), columns, *size, sharex=True, sharey=True)
        used = []
        for row, column in [(row, column) for row, line in enumerate(lines) for column in range(len(line))]:
            ratio, selector = lines[row][column]
            axis = axes[row * columns + column]
            used.append(axis)
            part = table[(table.ratio == ratio) & (table.selector == selector)]
            wide = part.pivot(index="train_dataset", columns="test_dataset", values="miou")
            cells = 100 * wide.reindex(sets, columns=sets)
            sns.heatmap(
                cells, ax=axis, annot=True, fmt=".0f", vmin=low, vmax=high, cmap="cividis", square=True, cbar=False,
                linewidths=1, linecolor="white",
            )  # fmt: skip
            mean = 100 * part[part.train_dataset != part.test_dataset].miou.mean()
            percentage = "" if selector in ("all", "none") else f", {100 * ratio:g} %"
            name = f"{style.NAMES.get(selector, selector)}{percentage}"
            axis.set(xlabel="", ylabel="", title=f"{name}: mean {mean:.1f}")
            lowest = row + 1 == len(lines) or column >= len(lines[row + 1])
            axis.tick_params(length=0, labelbottom=lowest)
            axis.tick_params(axis="x", rotation=90)
            axis.tick_params(axis="y", rotation=0)
            axis.grid(visible=False)
            sentences.append(f"{name} {mean:.1f}")
        for axis in axes:
            axis.set_visible(axis in used)
        bar = figure.colorbar(axes[0].collections[0], ax=axes, shrink=0.6)
        bar.set_label("test mIoU (%)")
        bar.outline.set_visible(False)
        figure.supylabel("trained on", fontsize=9)
        figure.supxlabel("tested on", fontsize=9)
        source = "Published" if results is None else "Ours"
        style.message(figure, f"{source}: segmentation of a set that was not trained on")
    return style.describe(
        figure,
        f"{len(used)} heat maps of test mIoU, training set by test set ({', '.join(sets)}). Means over pairs of "
        f"different sets, in %: {'; '.join(sentences)}.",
    )


def _lines(table: pd.DataFrame) -> list[list[tuple[float, str]]]:
    """Rows of panels, as (ratio, selector): random and the references above, each selector below at the same ratios."""
    arms = sorted(set(zip(table.ratio, table.selector, strict=True)))
    references = [arm for arm in arms if arm[1] == "random"] + [arm for arm in arms if arm[1] in ("all", "none")]
    selectors = sorted({name for _, name in arms} - {"random", "all", "none"})
    lines = [references, *([arm for arm in arms if arm[1] == name] for name in selectors)]
    return [line for line in lines if line]
