"""Write the tables of ``kernels/README.md`` from the results: ``python kernels/bench/report.py``."""

from __future__ import annotations

import csv
import re
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"
OURS = "meddel_kernels"

Row = dict[str, str]


def main() -> None:
    """Renew what stands between the marks."""
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")


def renewed(text: str) -> str:
    """Return the text with the tables of the results between its marks."""
    made_up, real = (list(csv.DictReader((RESULTS / f"{name}.csv").open(encoding="utf-8"))) for name in ("cpu", "real"))
    ladders = [row for row in made_up if row["case"].startswith("ladder")]
    first = [row for row in made_up if row["case"].startswith("first call")]
    parts = {
        "made up": compared([row for row in made_up if row not in ladders and row not in first]),
        "real": compared(real),
        "first calls": first_calls(first),
        "ladders": "\n\n".join(ladder(rows) for rows in by_case(ladders).values()),
    }
    for name, part in parts.items():
        pattern = rf"(<!-- results: {name} -->\n).*?(\n<!-- end of results -->)"
        text, found = re.subn(pattern, lambda marks, part=part: marks[1] + part + marks[2], text, flags=re.DOTALL)
        if found != 1:
            raise SystemExit(f"{README} has no marks for the results {name!r}")
    return text


def by_case(rows: list[Row]) -> dict[str, list[Row]]:
    """Return the rows of each case, in their order."""
    cases: dict[str, list[Row]] = {}
    for row in rows:
        cases.setdefault(row["case"], []).append(row)
    return cases


def compared(rows: list[Row]) -> str:
    """Return a table of our seconds and memory, and of how many times as long the others take."""
    lines = [
        f"On {rows[0]['on']}, {rows[0]['threads']} threads:",
        "",
        "| case | ours | the others |",
        "| --- | ---: | --- |",
    ]
    for case, own in by_case(rows).items():
        ours = next(row for row in own if row["name"] == OURS)
        others = [f"{row['name']} {float(row['ratio']):.1f} x" for row in own if not row["name"].startswith(OURS)]
        lines.append(f"| {case} | {float(ours['seconds']):.2f} s, {ours['extra_mb']} MB | {'; '.join(others)} |")
    return "\n".join(lines)


def first_calls(rows: list[Row]) -> str:
    """Return a table of the seconds of processes that make one call each."""
    lines = ["| first call | ours | nothing compiled yet | the others |", "| --- | ---: | ---: | --- |"]
    for case, own in by_case(rows).items():
        ours, cold, *others = own
        peers = "; ".join(f"{row['name']} {float(row['seconds']):.1f} s" for row in others)
        call = case.removeprefix("first call: ")
        lines.append(f"| `{call}` | {float(ours['seconds']):.1f} s | {float(cold['seconds']):.1f} s | {peers} |")
    return "\n".join(lines)


def ladder(rows: list[Row]) -> str:
    """Return a table of one case's versions."""
    title = rows[0]["case"].removeprefix("ladder: ")
    lines = [f"{title[0].upper()}{title[1:]}:", "", "| version | seconds | useful Gop/s |", "| --- | ---: | ---: |"]
    lines += [f"| {row['name']} | {float(row['seconds']):.4f} | {float(row['useful_gops']):.0f} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
