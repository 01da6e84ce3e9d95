"""Tables: what stands in them, for the paper and for a run, and that all notations hold it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from compendium import contradictions, published, tables
from meddel import evidence
from meddel.errors import MedDELError
from meddel.normdel import normdel


def run_scores(seeds: int = 3, gain: float = 0.1) -> pa.Table:
    rng = np.random.default_rng(0)
    arms = {
        ("none", 0.0): 0.0,
        ("all", 1.0): gain,
        ("random", 0.05): gain,
        ("meddel", 0.05): gain,
        ("meddel", 0.2): gain,
    }
    rows = [
        (name, "mlp", selector, ratio, seed, epoch, "test", 0.4 + effect + rng.normal(0, 0.004), 0.7, 2.0)
        for name in ("kvasir_seg", "cvc_clinicdb")
        for seed in range(seeds)
        for (selector, ratio), effect in arms.items()
        for epoch in (1, 2)
    ]
    columns = [*evidence.ARM, "seed", "epoch", "split", *evidence.METRICS, "seconds"]
    return pa.Table.from_pandas(pd.DataFrame(rows, columns=columns))


def rows_of(markdown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines() if line[:1] == "|"]


def test_published_tables_hold_the_published_numbers():
    first = rows_of(tables.table1().markdown)
    assert len(first) == 2 + 14
    assert ["pre-training", "Hyper-Kvasir", "Classification", "1", "374", "110,079"] in first
    second = rows_of(tables.table2().markdown)
    assert ["5 %", "0.7", "4,461", "5.05", "4,000", "17,844,000"] in second
    third = rows_of(tables.table3().markdown)
    assert ["mIoU (%)", "ImageCLEFmed", "70.95", "71.80", "71.44", "72.58", "71.23", "72.02"] in third
    assert ["NormDEL (%)", "ImageCLEFmed", "66.26", "65.69", "64.22", "62.76", "60.64", "56.59"] in third
    fourth = rows_of(tables.table4().markdown)
    assert fourth[0][2:] == published.segmentation_sets()
    assert len(fourth) == 2 + 14


def test_all_notations_hold_the_same_cells():
    table = tables.table3()
    for text in (table.html, table.markdown, table.latex):
        for cell in ("66.26", "56.59", "Kvasir-Instrument", "Table 3"):
            assert cell in text
    assert table._repr_html_() == table.html
    assert table._repr_markdown_() == table.markdown


def test_table_1_counts_the_index_of_a_run():
    index = pa.table(
        {
            "source": ["pool", "pool", "polyps"],
            "centre": pa.array(["x", "y", None], pa.string()),
            "video": pa.array(["v", "v", None], pa.string()),
            "mask": pa.array([None, None, "/m.png"], pa.string()),
        }
    )
    cells = rows_of(tables.table1(index).markdown)
    assert cells[2] == ["pre-training only", "pool", "pre-training", "2", "1", "2", "0"]
    assert cells[3] == ["downstream", "polyps", "segmentation", "–", "–", "1", "1"]


def test_table_3_of_a_run_begins_without_pretraining_and_has_no_normdel_there():
    cells = rows_of(tables.table3(run_scores()).markdown)
    assert cells[0] == ["group", "selection", "cvc_clinicdb", "kvasir_seg", "mean of sets"]
    arms = [row[1] for row in cells[2:7]]
    assert arms == ["no pre-training", "all images, 100 %", "random, 5 %", "MedDEL, 5 %", "MedDEL, 20 %"]
    assert [row[0].split(" (%)")[0] for row in cells[2::5]] == ["foreground IoU", "two-class mIoU", "NormDEL"]
    quality, spread = cells[5][2].split(" ± ")
    assert 49 < float(quality) < 51
    assert 0 < float(spread) < 5
    scores = {row[1]: row[2:] for row in cells[12:]}
    assert scores["no pre-training"] == ["–", "–", "–"]
    ends = [100 * normdel((float(quality) + side * float(spread)) / 100, 0.05) for side in (-1, 0, 1)]
    value, half = (float(part) for part in scores["MedDEL, 5 %"][0].split(" ± "))
    assert value == pytest.approx(ends[1], abs=0.02)
    assert half == pytest.approx((ends[2] - ends[0]) / 2, abs=0.03)


def test_one_seed_shows_no_interval_and_concludes_nothing():
    text = tables.normdel_text(run_scores(seeds=1))
    assert "±" not in text
    assert "one seed gives no interval" in text
    assert text.count("not testable at this scale") == 3


def test_the_text_for_the_terminal_is_aligned_and_ends_with_verdicts():
    text = tables.normdel_text(run_scores())
    lines = text.splitlines()
    block = lines[1:8]
    assert "Foreground IoU (%)" in lines[0]
    assert len({len(line) for line in block}) == 1
    assert "NormDEL (%)" in lines[9]
    assert lines[3].startswith("no pre-training")
    assert lines[4].startswith("all images")
    assert "the study is sensitive" in text
    assert "smallest difference to random that 3 seeds can see" in text
    assert "MedDEL beats random selection at 5 %" in text
    assert "no sensitivity" in tables.normdel_text(run_scores(gain=0.0))


def test_the_summary_shows_what_is_gained_over_no_pretraining_and_the_verdicts():
    table = run_scores().to_pandas()
    text = tables.summary_markdown(table)
    cells = rows_of(text)
    assert cells[0] == [
        *["selection", "fine-tuned: mean of sets", "fine-tuned: cvc_clinicdb", "fine-tuned: kvasir_seg", "NormDEL"]
    ]
    gains = {row[0]: row[1:] for row in cells[2:7]}
    final = evidence.with_mean_of_sets(evidence.final_scores(table))
    level = final[(final["set"] == evidence.MEAN_SET) & (final.selector == "none")].foreground_iou.mean()
    assert gains["no pre-training"][0] == f"{100 * level:.1f}"
    assert gains["no pre-training"][-1] == "–"
    [row] = (
        evidence.paired_differences(final, "none").query("set == @evidence.MEAN_SET and selector == 'all'").itertuples()
    )
    assert gains["all images, 100 %"][0] == f"+{100 * row.difference:.1f} ± {50 * (row.high - row.low):.1f}"
    claims = {row[0]: row[1:] for row in cells[7:] if row[0].endswith("%")}
    assert list(claims) == [
        "MedDEL beats random selection at 5 %",
        "MedDEL is comparable with all data at 5 %",
        "MedDEL is comparable with all data at 20 %",
        "Random is comparable with all data at 5 %",
    ]
    assert claims["Random is comparable with all data at 5 %"][0].endswith("**reproduced**")
    assert "fine-tuned 3" in text
    assert "NormDEL (%) of the mean of sets, fine-tuned." in text


def test_the_summary_of_one_seed_has_no_interval_and_leaves_everything_open():
    text = tables.summary_markdown(run_scores(seeds=1))
    assert "±2 points" in text
    assert " ± " not in text.split("First row")[0]
    assert "reproduced" not in text
    assert text.count(", open") == 4 * 3


def test_the_text_has_a_line_for_every_selector_and_says_what_holds_of_all():
    table = run_scores().to_pandas()
    more = table[table.selector == "meddel"]
    text = tables.normdel_text(pd.concat([table, more.assign(selector="herding"), more.assign(selector="my own")]))
    for name in ("MedDEL", "Herding", "My own"):
        assert f"{name} beats random selection at 5 %" in text
        assert f"{name} is comparable with all data at 20 %" in text
    assert "each set and head: 3 with random and 6 with all images" in text
    least = re.search(r"can see: ([\d.]+) points; ([\d.]+) as the first of 3 comparisons", text)
    assert least is not None
    assert float(least[1]) < float(least[2])


def test_comparison_shows_numbers_words_and_truth_values():
    frame = contradictions.storage()
    cells = rows_of(tables.comparison(frame, name="storage", title="Storage").markdown)
    assert cells[2][2:4] == ["12,756,493", "127,565"]
    assert cells[2][-1] == "no"
    mixed = pd.DataFrame({"a": ["x|y", None], "b": [1.5, float("nan")], "c": [True, False]})
    assert rows_of(tables.comparison(mixed, name="m", title="M").markdown)[3] == ["–", "–", "no"]
    shares = pd.DataFrame({"selector": ["meddel", "none"], "byte_share": [0.12345, -0.00001]})
    shown = rows_of(tables.comparison(shares, name="s", title="S", percents=["byte_share"], digits=1).markdown)
    assert [shown[0], *shown[2:]] == [["selector", "byte share"], ["MedDEL", "12.3"], ["no pre-training", "0"]]


def test_saving_writes_three_whole_files_of_the_same_bytes(tmp_path):
    paths = tables.table2().save(tmp_path, "table2")
    assert [path.name for path in paths] == ["table2.html", "table2.md", "table2.tex"]
    before = [path.read_bytes() for path in paths]
    tables.table2().save(tmp_path, "table2")
    assert [path.read_bytes() for path in paths] == before
    assert len(list(tmp_path.iterdir())) == 3
    (tmp_path / "file").touch()
    with pytest.raises(MedDELError, match="can't write"):
        tables.table2().save(tmp_path / "file", "table2")
