"""The report gathers what a run left, in one file that needs nothing beside it."""

from __future__ import annotations

import html
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pyarrow as pa
import pytest

from compendium import claims, figures, notebooks, report, tables
from compendium.figures import style
from meddel import artefacts, config
from meddel.errors import MedDELError
from meddel.segment import SCORES_SCHEMA

ARMS = (("none", 0.0), ("all", 1.0), ("random", 0.05), ("meddel", 0.05))


def scores() -> pa.Table:
    rows = [
        {
            "set": name,
            "selector": selector,
            "ratio": ratio,
            "seed": seed,
            "head": "probe",
            "epoch": 1,
            "split": split,
            "foreground_iou": 0.3 + 0.01 * seed + 0.1 * (ratio > 0),
            "two_class_miou": 0.5,
            "seconds": 1.0,
        }
        for selector, ratio in ARMS
        for seed in range(3)
        for name in ("polyps", "tools")
        for split in ("val", "test")
    ]
    return pa.Table.from_pylist(rows, schema=SCORES_SCHEMA)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder as a run leaves it."""
    run = config.run(out=tmp_path)
    for section in ("4.6", "3.2"):
        notebooks.conclude(run, section, {})
    notebooks.conclude(run, "1", {"storage": ("12 <b> & TB", "reproduced")})
    artefacts.write_table(tmp_path / "scores.parquet", scores())
    tables.table3(scores()).save(tmp_path / "tables", "table3")
    figure = plt.figure()
    figures.save(style.describe(figure, 'A "line" & more'), tmp_path / "figures", "fig3")
    plt.close(figure)
    artefacts.write_text(tmp_path / "notebooks" / "01_x.html", "<html></html>")
    cell = tmp_path / "study" / "seed-0" / "all" / "polyps-probe" / "scores.parquet"
    with artefacts.recorded(cell, "key", parameters={}):
        artefacts.write_table(cell, scores())
    return tmp_path


def test_the_report_holds_all_that_was_left(out: Path) -> None:
    path = report.build(out)
    page = path.read_text(encoding="utf-8")
    assert path == out / "report.html"
    for text in (
        "12 &lt;b&gt; &amp; TB",
        "A &quot;line&quot; &amp; more",
        "NormDEL (%) of the foreground IoU, head probe",
        "Table 3. Segmentation and NormDEL",
        '<a href="notebooks/01_x.html">01_x</a>',
        html.escape(artefacts.machine()),
    ):
        assert text in page, text
    shown = html.unescape(page)
    for section in ("1", "3.2", "4.6"):
        assert [claim for claim in claims.claims(section).claim if claim not in shown] == []
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert headings == ["Verdicts", "NormDEL", "Tables", "Figures", "Notebooks"]
    assert page.count("<img ") == page.count('src="data:image/png;base64,') == page.count("<img alt=") == 1
    assert not re.search(r'(?:src|href)="(?:https?:|/)', page)


def test_the_same_run_gives_the_same_report(out: Path) -> None:
    first = report.build(out).read_bytes()
    assert report.build(out).read_bytes() == first


def test_verdicts_come_in_the_papers_order(out: Path) -> None:
    found = report.verdicts(out)
    assert list(found.columns) == ["section", "claim", "published", "ours", "verdict"]
    assert found.section.drop_duplicates().tolist() == ["1", "3.2", "4.6"]
    assert found.verdict.tolist().count("reproduced") == 1
    assert isinstance(found, pd.DataFrame)


def test_the_scores_come_back(out: Path) -> None:
    assert report.scores(out).equals(scores())


def test_nothing_to_report_is_said_in_one_line(tmp_path: Path, out: Path) -> None:
    with pytest.raises(MedDELError, match="no verdicts yet"):
        report.build(tmp_path / "none")
    (out / "scores.parquet").unlink()
    with pytest.raises(MedDELError, match="no study was run"):
        report.build(out)
    assert not (out / "report.html").exists()
