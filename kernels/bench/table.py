"""The table of results, its best and worst case, and how cost grows, on a picture."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import matplotlib.pyplot as plt
from measure import machine

OURS = "meddel_kernels"
Row = dict[str, str]


def rows_of(case: str, results: dict[str, dict[str, float]], ours: str, threads: int) -> list[Row]:
    """Return a case's rows of the table: a job's ratio is its seconds over ours."""
    rows = []
    for name, found in results.items():
        ratio = found["seconds"] / results[ours]["seconds"]
        print(f"  {name:<48} {found['seconds']:9.3f} s {ratio:7.2f} x {found['extra_mb']:6.0f} MB", flush=True)
        rows.append({
            "case": case, "name": name, "seconds": f"{found['seconds']:.4f}", "ratio": f"{ratio:.3f}",
            "extra_mb": f"{found['extra_mb']:.0f}", "threads": str(threads), "on": machine(),
        })  # fmt: skip
    return rows


def write(rows: list[Row], path: Path) -> None:
    """Write the table; after every case, so that an interruption loses only the case that runs."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def by_case(rows: list[Row]) -> dict[str, list[Row]]:
    """Return the rows of each case, in their order."""
    cases: dict[str, list[Row]] = {}
    for row in rows:
        cases.setdefault(row["case"], []).append(row)
    return cases


def headline(rows: list[Row]) -> str:
    """Return one line with the worst case and the best, each against its best peer."""
    best_peer = {}
    for case, own in by_case(rows).items():
        peers = [row for row in own if not row["name"].startswith(OURS)]
        if peers and not case.startswith(("ladder", "growth", "first")):
            best_peer[case] = min(peers, key=lambda row: float(row["ratio"]))
    if not best_peer:
        return "no case has a peer"
    ordered = sorted(best_peer.values(), key=lambda row: float(row["ratio"]))
    said = [f"{float(row['ratio']):.2f} x {row['name']} ({row['case']})" for row in (ordered[0], ordered[-1])]
    return f"Against the best peer: at worst {said[0]}; at best {said[1]}."


def markdown(rows: list[Row]) -> str:
    """Return a table of our seconds and memory, and of how many times as long the others take."""
    if not rows:
        return ""
    lines = [f"On {rows[0]['on']}, {rows[0]['threads']} threads:", ""]
    lines += ["| case | ours | the others |", "| --- | ---: | --- |"]
    for case, own in by_case(rows).items():
        if case.startswith("growth"):
            continue
        ours = next((row for row in own if row["name"] == OURS), own[-1])
        others = [f"{row['name']} {float(row['ratio']):.1f} x" for row in own if row is not ours]
        lines.append(f"| {case} | {float(ours['seconds']):.3f} s, {ours['extra_mb']} MB | {'; '.join(others)} |")
    return "\n".join(lines)


def renewed(text: str, rows: list[Row]) -> str:
    """Return the README's text with the results between its marks."""
    pattern = r"(<!-- results -->\n).*?(\n<!-- end of results -->)"
    text, found = re.subn(
        pattern, lambda marks: f"{marks[1]}{headline(rows)}\n\n{markdown(rows)}{marks[2]}", text, flags=re.DOTALL
    )
    if found != 1:
        raise SystemExit("the README has no marks for the results")
    return text


def draw(rows: list[Row], path: Path) -> None:
    """Draw how the seconds of K-means grow with n, d and k, for ours and the peers."""
    growing = [row for row in rows if row["case"].startswith("growth")]
    if not growing:
        return
    plt.rcParams["svg.hashsalt"] = "meddel"  # the same bytes for the same numbers
    figure, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
    for axis, panel in zip("ndk", axes, strict=True):
        for name in dict.fromkeys(row["name"] for row in growing):
            own = [row for row in growing if row["name"] == name and row["case"].startswith(f"growth with {axis}")]
            sizes = [int(row["case"].rpartition(" ")[2]) for row in own]
            panel.plot(sizes, [float(row["seconds"]) for row in own], marker="o", label=name)
        panel.set(xscale="log", yscale="log", xlabel=axis)
    axes[0].set_ylabel("seconds")
    axes[0].legend(fontsize=8)
    figure.suptitle(f"K-means, 12 iterations, n 20,000, d 256, k 128 unless varied ({rows[0]['on']})", fontsize=10)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
