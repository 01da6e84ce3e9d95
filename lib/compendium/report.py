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
<title>{title}</title><link rel="icon" href="data:,"><style>
body{{font:16px/1.55 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}}
h1,h2{{line-height:1.2}} figure{{margin:1.5rem 0}} img{{max-width:100%;height:auto}}
figcaption{{color:#555;font-size:.9rem}} table{{border-collapse:collapse}} .wide{{overflow-x:auto;margin:1rem 0}}
pre{{background:#f5f5f5;padding:1rem;overflow-x:auto;font-size:.85rem}} dt{{font-weight:600}}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


def scores(out: Path) -> pa.Table:
    """Return the scores of the run in `out` (`meddel.segment.SCORES_SCHEMA`).

    Raises
    ------
    MedDELError
        The study has not been run there.
    """
    path = out / "scores.parquet"
    if not path.is_file():
        raise MedDELError("no study was run", path, "run meddel run first")
    return pq.read_table(path)


def verdicts(out: Path) -> pd.DataFrame:
    """Return every recorded verdict: section, claim, published, ours, verdict; in the paper's order.

    Raises
    ------
    MedDELError
        No notebook has concluded yet.
    """
    rows = []
    for section in claims.SECTIONS:
        path = out / "verdicts" / f"section-{section}.json"
        if path.is_file():
            rows += [{"section": section, **row} for row in json.loads(path.read_text(encoding="utf-8"))]
    if not rows:
        raise MedDELError("no verdicts yet", out / "verdicts", "run meddel run first")
    return pd.DataFrame(rows, columns=["section", "claim", "published", "ours", "verdict"])


def build(out: Path) -> Path:
    """Write ``report.html`` into `out` from what lies there, and return its path.

    It holds the verdicts, the NormDEL table, every table and figure that the notebooks saved, how it was computed, and
    links to the executed notebooks. Figures are inside the file, with their alternative texts.

    Raises
    ------
    MedDELError
        Nothing was run in `out`, or it can't be written.
    """
    found = verdicts(out)
    parts = [
        "<p>What arXiv 2401.17542 claims about data-effective learning, beside what this run computed.</p>",
        _how(out),
        "<h2>Verdicts</h2>",
        _wide(tables.comparison(found, name="verdicts", title="Published, ours, verdict", group="section").html),
        "<h2>NormDEL</h2>",
        f"<pre>{html.escape(tables.normdel_text(scores(out)))}</pre>",
        "<h2>Tables</h2>",
        *(_wide(path.read_text(encoding="utf-8")) for path in sorted((out / "tables").glob("*.html"))),
        "<h2>Figures</h2>",
        *(_figure(path) for path in sorted((out / "figures").glob("*.png"))),
        "<h2>Notebooks</h2>",
        _notebooks(out),
    ]
    target = out / "report.html"
    artefacts.write_text(target, _PAGE.format(title="Data-effective learning, rerun", body="\n".join(parts)))
    return target


def _how(out: Path) -> str:
    """Where the scores come from, from the provenance of the first one that was computed."""
    path = next((path for path in sorted(out.glob("study/seed-*/*/*/scores.parquet"))), None)
    known = None if path is None else artefacts.read_provenance(path)
    if known is None:
        return ""
    facts = {"Version": known.version, "Commit": known.commit, "Machine": known.machine, "Device": known.device}
    return "<dl>" + "".join(f"<dt>{key}</dt><dd>{html.escape(value)}</dd>" for key, value in facts.items()) + "</dl>"


def _wide(content: str) -> str:
    return f'<div class="wide">{content}</div>'


def _figure(path: Path) -> str:
    text = html.escape(figures.read_alt(path), quote=True)
    encoded = base64.b64encode(path.read_bytes()).decode()
    return f'<figure><img alt="{text}" src="data:image/png;base64,{encoded}"><figcaption>{text}</figcaption></figure>'


def _notebooks(out: Path) -> str:
    pages = sorted((out / "notebooks").glob("*.html"))
    items = (f'<li><a href="notebooks/{page.name}">{html.escape(page.stem)}</a></li>' for page in pages)
    return "<ul>" + "".join(items) + "</ul>"
