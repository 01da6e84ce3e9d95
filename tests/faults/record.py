"""The record of the faults that a test run survives, as a table, as text for a page, and where it comes from.

``pytest --record-faults FOLDER`` writes it; nothing in it is typed. Only what a test that passed has counted enters.
"""

from __future__ import annotations

import csv
import io
import shlex
import sys
from collections import Counter
from pathlib import Path

import pytest

from compendium import record
from meddel import __version__, artefacts

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
COLUMNS = ("fault", "in", "survived")
Counts = Counter[tuple[str, str]]


class Recorder:
    """Adds up what passed tests have noted as user properties, wherever they ran, and writes it in the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: Counts = Counter()
        self.failed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test's faults."""
        self.failed += report.failed
        if report.when == "call" and report.passed:
            for name, value in report.user_properties:
                if name == "fault":
                    kind, what, times = value
                    self.counts[kind, what] += times

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the record, unless a test failed or nothing was counted."""
        if self.counts and not self.failed:
            command = [".venv/bin/python", "-m", "pytest", *session.config.invocation_params.args]
            ours = self.folder.resolve().parent == PAGE.parents[1] / "data_manifests" / "results"
            write(self.folder, self.counts, command, PAGE if ours else None)


def write(folder: Path, counts: Counts, command: list[str], page: Path | None) -> None:
    """Write ``faults.csv``, ``summary.md`` and ``provenance.json``; and into a page that has a place for it."""
    typed = shlex.join(command)
    # Before anything is written: what this leaves in the tree is no change that it was made with.
    made = {"command": typed, "version": __version__, "commit": artefacts.commit(), "machine": artefacts.machine()}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((*fault, times) for fault, times in sorted(counts.items()))
    artefacts.write_text(folder / "faults.csv", stream.getvalue())
    artefacts.write_json(folder / "provenance.json", made | {"python": sys.version.split()[0]})
    results = f"`{typed}`, version {made['version']}, commit {made['commit']}, on {made['machine']}.\n\n{table(counts)}"
    artefacts.write_text(folder / "summary.md", results)
    text = "" if page is None else page.read_text(encoding="utf-8")
    if f"<!-- results: {folder.name} -->" in text:
        artefacts.write_text(page, record.insert(text, folder.name, results))


def table(counts: Counts) -> str:
    """Return the counts as a Markdown table: a line for each kind of fault, most survived first.

    Of many places it names the first few; all stand in ``faults.csv``.
    """
    kinds: dict[str, list[tuple[int, str]]] = {}
    for (kind, what), times in counts.items():
        kinds.setdefault(kind, []).append((times, what))
    lines = ["| fault | survived | in |", "| --- | ---: | --- |"]
    for kind, parts in sorted(kinds.items(), key=lambda entry: (-sum(times for times, _ in entry[1]), entry[0])):
        shown = parts if len(parts) <= 8 else sorted(parts, key=lambda part: (-part[0], part[1]))[:6]
        where = ", ".join(f"{what} {times:,}" for times, what in sorted(shown, key=lambda part: part[1]))
        where += f", and {len(parts) - len(shown)} more" * (len(shown) < len(parts))
        lines.append(f"| {kind} | {sum(times for times, _ in parts):,} | {where} |")
    return "\n".join(lines) + "\n"
