"""The leaderboard's two pages as HTML. Whatever a participant typed is escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable

from compendium.workshop.leaderboard.board import Board, Entry
from compendium.workshop.leaderboard.standings import SCORES, Gain, Standing, gain, standings

REFRESH_SECONDS = 5
NAMES = {"miou": "mIoU", "normdel": "NormDEL", "net_benefit": "net benefit"}
_STYLE = """
body { font: 16px/1.4 sans-serif; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: right; padding: .25rem .5rem; }
th:first-child, td:first-child { text-align: left; } tr:nth-child(even) { background: #f4f4f4; }
.reference { color: #666; font-style: italic; } small { color: #555; } input, button { font: inherit; margin: .2rem 0; }
"""


def board_page(board: Board, pool: int, price: float, seeds: int, by: str) -> str:
    """Return the page with the ranking, the queue and what was refused; it reloads itself.

    Parameters
    ----------
    board : Board
    pool : int
        Images in the pool.
    price : float
        Of the net benefit.
    seeds : int
        Of every score.
    by : str
        One of `standings.SCORES`.
    """
    entries = board.entries()
    parts = [
        "<h1>Leaderboard</h1>",
        '<p><a href="/enter">Enter a list</a>. Ranked by '
        + ", ".join(NAMES[score] if score == by else f'<a href="/?by={score}">{NAMES[score]}</a>' for score in SCORES)
        + ".</p>",
        _ranking(standings(entries, pool, price, by)),
        _queue(entries),
        _refused(board),
        _explanation(pool, price, seeds, gain(entries)),
    ]
    return _page("Leaderboard", "".join(parts), f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">')


def enter_page(message: str = "") -> str:
    """Return the page with the form; `message` is what became of the last submission."""
    said = f"<p><strong>{html.escape(message)}</strong></p>" if message else ""
    form = (
        '<form method="post" action="/submit" enctype="multipart/form-data">'
        '<p><label>Name<br><input name="name" maxlength="40" required></label></p>'
        '<p><label>List (CSV)<br><input type="file" name="list" accept=".csv,text/csv,text/plain" required></label></p>'
        "<p><button>Submit</button></p></form>"
        '<p><a href="/">To the leaderboard</a></p>'
    )
    return _page("Enter a list", f"<h1>Enter a list</h1>{said}{form}")


def _page(title: str, body: str, head: str = "") -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{head}<title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>{body}</body></html>'
    )


def _table(head: Iterable[str], rows: Iterable[str]) -> str:
    titles = "".join(f'<th scope="col">{name}</th>' for name in head)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _ranking(found: list[Standing]) -> str:
    if not found:
        return "<p>Nothing is scored yet.</p>"
    rows = []
    for one in found:
        places = [f"{'–' if one.places[score] is None else one.places[score]}" for score in SCORES]
        values = [
            f"{100 * one.miou:.1f} ± {100 * one.spread:.1f}",
            _percent(one.normdel),
            "–" if math.isnan(one.net_benefit) else f"{one.net_benefit:.2f}",
        ]
        cells = [f"{value} <small>({place})</small>" for value, place in zip(values, places, strict=True)]
        kind = ' class="reference"' if one.entry.reference else ""
        facts = [html.escape(one.entry.name), one.entry.at, f"{one.entry.kept:,}", f"{one.ratio:.1%}", *cells]
        rows.append(f"<tr{kind}>{''.join(f'<td>{fact}</td>' for fact in facts)}</tr>")
    return _table(["who", "at", "images", "R", *(f"{NAMES[score]} (place)" for score in SCORES)], rows)


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.2f} %"


def _queue(entries: list[Entry]) -> str:
    waiting = [entry for entry in entries if entry.state in ("queued", "running", "failed")]
    if not waiting:
        return "<h2>Queue</h2><p>Nothing waits.</p>"
    rows = []
    for entry in waiting:
        state = {"running": f"{entry.share:.0%} done", "failed": f"failed: {entry.problem}"}.get(entry.state, "waits")
        facts = [html.escape(entry.name), entry.at, f"{entry.kept:,}", html.escape(state)]
        rows.append(f"<tr>{''.join(f'<td>{fact}</td>' for fact in facts)}</tr>")
    return "<h2>Queue</h2>" + _table(["who", "at", "images", "state"], rows)


def _refused(board: Board) -> str:
    rows = [f"<li>{at} {html.escape(name)}: {html.escape(line)}</li>" for name, at, line in board.refusals()]
    return f"<h2>Refused</h2><ul>{''.join(rows)}</ul>" if rows else ""


def _explanation(pool: int, price: float, seeds: int, found: Gain) -> str:
    if math.isnan(found.mean):
        said = "The references are not scored yet; until then there is no net benefit."
    else:
        said = (
            f"All images gain {100 * found.mean:+.1f} points over no pre-training "
            f"(95 % interval {100 * found.low:+.1f} to {100 * found.high:+.1f}). "
        )
        said += "" if found.clear else "That is not clearly above 0: net benefit is not defined."
    return (
        "<h2>What the numbers are</h2><p>A <strong>surrogate</strong>, not a study: a dictionary of patches is learnt"
        f" from the list's images out of {pool:,}, as long for a short list as for a long one, and a linear probe on it"
        f" is trained on labelled images. mIoU is the foreground IoU in %, mean over two generated sets and {seeds}"
        " seeds, ± their standard deviation: lists that differ by less are equals. R is the share of the pool. Net"
        f" benefit takes a price of {price:g}. {said}</p>"
    )
