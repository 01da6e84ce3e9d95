"""The report: one HTML file that gathers what the notebooks left in the run's folder, and needs nothing beside it."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from compendium import claims, figures, tables
from meddel import artefacts
from meddel.errors import MedDELError

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data-effective learning, rerun</title><link rel="icon" href="data:,"><style>
body{{font:16px/1.55 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}}
h1,h2{{line-height:1.2}} figure{{margin:1.5rem 0}} img{{max-width:100%;height:auto}}
figcaption{{color:#555;font-size:.9rem}} table{{border-collapse:collapse}} .wide{{overflow-x:auto;margin:1rem 0}}
pre{{background:#f5f5f5;padding:1rem;overflow-x:auto;font-size:.85rem}} dt{{font-weight:600}}
</style></head><body>
<h1>Data-effective learning, rerun</h1>
<p>What arXiv 2401.17542 claims about data-effective learning, beside what this run computed.</p>
{how}<h2>Verdicts</h2>
{verdicts}
<h2>NormDEL</h2>
<pre>{normdel}</pre>
<h2>Tables</h2>
{tables}
<h2>Figures</h2>
{figures}
<h2>Notebooks</h2>
<ul>{notebooks}</ul>
</body></html>
"""


def scores(out: Path) -> pa.Table:
    """Return the scores of the run in `out` (`meddel.segment.SCORES_SCHEMA`)."""
    path = out / "scores.parquet"
    if not path.is_file():
        raise MedDELError("no study was run", path, "run meddel run first")
    return pq.read_table(path)


def verdicts(out: Path) -> pd.DataFrame:
    """Return every recorded verdict in the paper's order: section, claim, published, ours, verdict."""
    rows = []
    for section in claims.SECTIONS:
        path = out / "verdicts" / f"section-{section}.json"
        if path.is_file():
            rows += [{"section": section, **row} for row in json.loads(path.read_text(encoding="utf-8"))]
    if not rows:
        raise MedDELError("no verdicts yet", out / "verdicts", "run meddel run first")
    return pd.DataFrame(rows, columns=["section", "claim", "published", "ours", "verdict"])


def build(out: Path) -> Path:
    """Write ``report.html`` into `out` from the verdicts, tables and figures of its notebooks, and return its path."""
    judged = tables.comparison(verdicts(out), name="verdicts", title="Published, ours, verdict", group="section")
    pages = sorted((out / "notebooks").glob("*.html"))
    page = _PAGE.format(
        how=_how(out),
        verdicts=_wide(judged.html),
        normdel=html.escape(tables.normdel_text(scores(out))),
        tables="\n".join(_wide(path.read_text(encoding="utf-8")) for path in sorted((out / "tables").glob("*.html"))),
        figures="\n".join(_figure(path) for path in sorted((out / "figures").glob("*.png"))),
        notebooks="".join(f'<li><a href="notebooks/{one.name}">{html.escape(one.stem)}</a></li>' for one in pages),
    )
    artefacts.write_text(out / "report.html", page)
    return out / "report.html"


def _how(out: Path) -> str:
    """Return how the scores were computed, from the provenance of the first one."""
    path = next((path for path in sorted(out.glob("study/seed-*/*/*/scores.parquet"))), None)
    known = None if path is None else artefacts.read_provenance(path)
    if known is None:
        return ""
    facts = {"Version": known.version, "Commit": known.commit, "Machine": known.machine, "Device": known.device}
    return "<dl>" + "".join(f"<dt>{key}</dt><dd>{html.escape(value)}</dd>" for key, value in facts.items()) + "</dl>\n"


def _wide(content: str) -> str:
    return f'<div class="wide">{content}</div>'


def _figure(path: Path) -> str:
    text = html.escape(figures.read_alt(path), quote=True)
    encoded = base64.b64encode(path.read_bytes()).decode()
    return f'<figure><img alt="{text}" src="data:image/png;base64,{encoded}"><figcaption>{text}</figcaption></figure>'
