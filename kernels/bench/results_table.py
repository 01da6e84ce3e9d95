"""The table of results: read and written whole."""

from __future__ import annotations

import csv
from pathlib import Path

from measure import machine


def earlier(path: Path, threads: int) -> dict[str, list[dict[str, object]]]:
    """Return the rows of a table by their case, of this machine and as many threads: what isn't run again stays."""
    cases: dict[str, list[dict[str, object]]] = {}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if (row["on"], row["threads"]) == (machine(), str(threads)):
                    cases.setdefault(row["case"], []).append(row)
    return cases


def written(rows: list[dict[str, object]], path: Path) -> None:
    """Write the table; after every case, so that who interrupts the next one keeps it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
