"""Figures: every one is drawn from published numbers and from artefacts, described, and written the same twice."""

from __future__ import annotations

import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from compendium import figures, metrics, published
from compendium.figures import style
from meddel import evidence, select
from meddel.errors import MedDELError
from meddel.evidence import verdicts


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    arms = [("none", 0.0), ("all", 1.0), ("random", 0.05), ("random", 0.2), ("meddel", 0.05), ("meddel", 0.2)]
    rows = [
        (name, "probe", selector, ratio, seed, epoch, split, 0.3 + 0.02 * epoch + rng.normal(0, 0.01), 0.6, 1.0)
        for name in ("a", "b")
        for selector, ratio in arms
        for seed in range(2)
        for epoch in range(1, 5)
        for split in ("val", "test")
    ]
    columns = [*evidence.ARM, "seed", "epoch", "split", *evidence.METRICS, "seconds"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture(scope="module")
def selection() -> tuple[np.ndarray, np.ndarray, pa.Table]:
    """Four tight groups of six images: the first of each is kept, four are its duplicates, the last is an outlier."""
    rng = np.random.default_rng(1)
    centres = np.repeat(np.eye(4, 8), 6, axis=0)
    embeddings = (centres + rng.normal(0, 0.05, (24, 8))).astype(np.float16)
    images = rng.integers(0, 255, (24, 16, 16, 3), dtype=np.uint8)
    reason = ["kept", *["duplicate"] * 4, "outlier"] * 4
    first = np.repeat(np.arange(0, 24, 6), 6)
    cosine = [0.9 - i / 100 if word == "duplicate" else None for i, word in enumerate(reason)]
    table = pa.table(
        {
            "id": [f"s/{place:02d}" for place in range(24)],
            "kept": [word == "kept" for word in reason],
            "rank": pa.array(range(24), pa.int32()),
            "reason": reason,
            "partner": [f"s/{first[i]:02d}" if word == "duplicate" else None for i, word in enumerate(reason)],
            "cosine": pa.array(cosine, pa.float32()),
            "distance": pa.array([0.1] * 24, pa.float32()),
            "cluster": pa.array(np.repeat(range(4), 6), pa.int32()),
        }
    )
    return embeddings, images, table


def test_published_figures_carry_the_published_numbers_in_their_alt_text():
    assert "ImageCLEFmed mIoU 70.95 against 72.02, NormDEL 66.26 against 56.59" in figures.alt(figures.fig1())
    assert "CVC-300, MedDEL, 5 % 63.7" in figures.alt(figures.fig3())
    assert "CVC-300, 0.05 57.8; CVC-300, 1.0 60.2" in figures.alt(figures.fig4())
    assert "random, 5 % 48.7" in figures.alt(figures.fig6())


def test_figure_1_says_who_leads():
    figure = figures.fig1()
    assert "4 of 8 sets by mIoU, on 8 by NormDEL" in figure.get_suptitle()
    assert [axis.get_xlabel() for axis in figure.axes] == ["mIoU (%)", "NormDEL (%)"]
    with pytest.raises(MedDELError, match="ratio"):
        figures.fig1(published.table3(), ratio=0.07)


def test_figure_3_draws_every_published_curve_to_its_end():
    axes = figures.fig3().axes
    assert len(axes) == 8
    ends = published.table3().set_index(["dataset", "ratio"]).miou
    for axis in axes:
        everything, small = (line for line in axis.get_lines() if len(line.get_xdata()))
        assert everything.get_ydata()[-1] == pytest.approx(100 * ends[axis.get_title("left"), 1.0], abs=0.02)
        assert small.get_ydata()[-1] == pytest.approx(100 * ends[axis.get_title("left"), 0.05], abs=0.02)


def test_figures_of_a_run_have_one_panel_a_set_and_one_line_an_arm(scores):
    curves = figures.fig3(pa.Table.from_pandas(scores))
    assert [axis.get_title("left") for axis in curves.axes] == ["a", "b"]
    lines = [line for line in curves.axes[0].get_lines() if len(line.get_xdata())]
    assert len(lines) == 4
    expected = 100 * scores.query("set == 'a' and selector == 'none' and split == 'test' and epoch == 4").foreground_iou
    assert lines[0].get_ydata()[-1] == pytest.approx(expected.mean())
    points = figures.fig4(scores)
    assert [axis.get_title("left") for axis in points.axes] == ["a", "b"]
    assert "a, no pre-training, 0.0 3" in figures.alt(points)


def test_several_heads_must_be_told_apart(scores):
    both = pd.concat([scores, scores.assign(head="mlp")])
    for figure in (figures.fig3, figures.fig4):
        with pytest.raises(MedDELError, match="heads mlp, probe"):
            figure(both)
        with pytest.raises(MedDELError, match="no test scores of head dpt"):
            figure(both, head="dpt")
        assert len(figure(both, head="mlp").axes) == 2


def test_figure_2_counts_what_it_draws(selection):
    embeddings, _, table = selection
    figure = figures.fig2(embeddings, table)
    titles = [axis.get_title("left") for axis in figure.axes]
    assert re.search(r"4 of 4", titles[0])
    assert "4 images" in titles[1]
    assert "4 kept" in titles[2]
    assert "16 dropped as near duplicates" in figures.alt(figure)
    with pytest.raises(MedDELError, match="23 embeddings"):
        figures.fig2(embeddings[1:], table)
    without = table.set_column(table.column_names.index("cluster"), "cluster", pa.nulls(24, pa.int32()))
    with pytest.raises(MedDELError, match="no clusters"):
        figures.fig2(embeddings, without)


def test_figure_5_shows_each_kept_image_before_its_neighbours(selection):
    _, images, table = selection
    figure = figures.fig5(images, table, groups=2, neighbours=3)
    drawn = [axis.get_images()[0].get_array() for axis in figure.axes]
    assert len(drawn) == 8
    assert np.array_equal(drawn[0], images[0])
    assert np.array_equal(drawn[1], images[1])
    assert np.array_equal(drawn[3], images[4])
    cosines = [float(axis.get_title().split()[-1]) for axis in figure.axes[1:4]]
    assert cosines == sorted(cosines, reverse=True)
    nothing = table.set_column(table.column_names.index("partner"), "partner", pa.nulls(24, pa.string()))
    with pytest.raises(MedDELError, match="no image was deleted"):
        figures.fig5(images, nothing)
    with pytest.raises(MedDELError, match="23 images"):
        figures.fig5(images[1:], table)


def test_figure_6_sets_random_above_meddel_at_the_same_ratio():
    figure = figures.fig6()
    titles = [axis.get_title("left") for axis in figure.axes[:6]]
    assert [title.split(":")[0] for title in titles] == [
        "random, 5 %", "random, 20 %", "all images", "MedDEL, 5 %", "MedDEL, 20 %", "MedDEL, 50 %",
    ]  # fmt: skip
    table = published.fig6().query("ratio != 0.5").rename(columns={"miou": "foreground_iou"})
    names = table.train_dataset + ">" + table.test_dataset
    ours = figures.fig6(table.assign(set=names.where(table.train_dataset != table.test_dataset, table.train_dataset)))
    assert [axis.get_visible() for axis in ours.axes[:6]] == [True] * 5 + [False]


def test_saved_figures_have_alt_text_and_the_same_bytes(tmp_path):
    first = figures.save(figures.fig1(), tmp_path / "one", "fig1")
    second = figures.save(figures.fig1(), tmp_path / "two", "fig1")
    assert [path.name for path in first] == ["fig1.png", "fig1.svg"]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
    assert figures.read_alt(first[0]) == figures.alt(figures.fig1())
    with Image.open(first[0]) as image:
        assert np.asarray(image.convert("L")).std() > 10
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["fig1.png", "fig1.svg"]


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(mpl.rcParams)
    figures.fig1()
    assert dict(mpl.rcParams) == before


def test_alpha_winners_cut_each_bar_where_the_winner_changes() -> None:
    figure = figures.alpha_winners()
    assert "5 % score highest on 8 of 8 sets" in figure.get_suptitle()
    for row in metrics.winners(metrics.published_cells()).itertuples():
        assert f"{100 * row.ratio:g} % from {row.alpha_low:.2g}" in figures.alt(figure)
    many = pd.DataFrame({"dataset": "a", "selector": "meddel", "ratio": np.linspace(0.1, 0.9, 9)})
    with pytest.raises(MedDELError, match="9 ratios win"):
        figures.alpha_winners(many.assign(miou=0.1 + 0.5 * many.ratio**0.5))


def test_pictures_of_clusters_and_of_the_farthest_images(selection):
    _, images, table = selection
    clusters = figures.cluster_pictures(images, table, [0, 3], columns=3)
    assert len([axis for axis in clusters.axes if axis.images]) == 6
    assert "cluster 3, 6 images, 1 kept" in figures.alt(clusters)
    assert "24 are beyond eps = 0.05" in figures.alt(figures.farthest_pictures(images, table, 0.05, columns=4))


def test_the_figure_of_sensitivity_puts_the_mean_of_sets_first(scores):
    final = evidence.with_mean_of_sets(evidence.final_scores(scores))
    figure = figures.sensitivity(final)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [f"{name}, probe" for name in (evidence.MEAN_SET, "a", "b")]
    assert re.search(r"a probe: 3\d\.\d against 3\d\.\d", figures.alt(figure))


def test_differences_put_the_mean_of_sets_first_and_name_every_difference() -> None:
    rows = [
        (name, "mlp", "meddel", ratio, verdicts.BEATS_RANDOM, 3, 0.01, -0.02, 0.04, "not testable at this scale")
        for name in ("a set", evidence.MEAN_SET)
        for ratio in (0.05, 0.2)
    ]
    columns = [*evidence.ARM, "claim", "seeds", "difference", "low", "high", "verdict"]
    judged = pd.DataFrame(rows, columns=columns)
    figure = figures.differences(judged, verdicts.BEATS_RANDOM, "mlp")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [evidence.MEAN_SET, "a set"]
    assert "a set at 20 %: +1.0 points (-2.0 to +4.0)" in figures.alt(figure)
    with pytest.raises(MedDELError, match="no differences"):
        figures.differences(judged, verdicts.COMPARABLE, "mlp")


def test_differences_of_all_selectors_show_both_intervals_and_the_verdict() -> None:
    rows, wider = [], []
    for selector, low, verdict in (("meddel", 0.005, "reproduced"), ("herding", -0.02, "not testable at this scale")):
        arm = (evidence.MEAN_SET, "mlp", selector, 0.05)
        rows.append((*arm, verdicts.beats_random(selector), 3, low + 0.02, low, low + 0.04, verdict))
        rows.append((*arm, verdicts.comparable(selector), 3, 0.5, 0.4, 0.6, verdict))
        wider.append((*arm, low - 0.001, low + 0.05))
    judged = pd.DataFrame(rows, columns=[*evidence.ARM, "claim", "seeds", "difference", "low", "high", "verdict"])
    resampled = pd.DataFrame(wider, columns=[*evidence.ARM, "low", "high"])
    figure = figures.against_random(judged, resampled, evidence.MEAN_SET, "mlp")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["MedDEL", "herding"]
    text = figures.alt(figure)
    assert "MedDEL at 5 %: +2.5 points (+0.5 to +4.5), (+0.4 to +5.5) over images too, reproduced" in text
    assert "50.0" not in text
    with pytest.raises(MedDELError, match="no differences to random"):
        figures.against_random(judged, resampled, "another set", "mlp")


def test_thresholds_of_a_ranking_are_drawn(selection):
    embeddings, _, table = selection
    index = pa.table({"id": table["id"], "video": pa.nulls(24, pa.string()), "frame": pa.nulls(24, pa.int32())})
    made = {k: select.rank(embeddings, index, np.random.default_rng(0), k=k, iterations=5) for k in (2, 4, 8)}
    assert "k = 4" in " ".join(figures.eta_curves(made).axes[0].get_legend_handles_labels()[1])
    beyond = int((made[4].distance > made[4].distance.min()).sum())
    figure = figures.distances(made[4], 0.9)
    assert "0 of 24 images are beyond eps" in figure.get_suptitle() and beyond > 0


def test_no_two_colours_are_alike() -> None:
    for count in (6, 16):
        colours = np.array([mpl.colors.to_rgb(colour) for colour in style.colours(count)])
        apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1)[~np.eye(count, dtype=bool)]
        assert apart.min() > 0.1


def test_a_notebook_shows_a_figure_with_its_alt_text():
    shown = figures.fig1()._repr_html_()
    assert shown.startswith('<img alt="Two dot plots of 8 sets')
    assert "data:image/png;base64," in shown
