"""The exercises with their minutes and what they need, and the syllabi that choose among them."""

from __future__ import annotations

from dataclasses import dataclass

from meddel.errors import MedDELError


@dataclass(frozen=True)
class Exercise:
    """One notebook: its file's name without suffix, what it is about, its minutes, and the exercises before it."""

    name: str
    about: str
    minutes: int
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Talk:
    """Time without a notebook: a word of welcome, a break, a look at the leaderboard."""

    about: str
    minutes: int


@dataclass(frozen=True)
class Syllabus:
    """A plan: its name, its minutes, and what follows what."""

    name: str
    minutes: int
    parts: tuple[Exercise | Talk, ...]

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        """The exercises among the parts, in order."""
        return tuple(part for part in self.parts if isinstance(part, Exercise))


DUPLICATES = Exercise("01_find_duplicates", "cosine and duplicates", 15)
CLUSTERS = Exercise("02_cluster_by_hand", "K-means, and what k does", 20, ("01_find_duplicates",))
ETA = Exercise("03_apply_the_eta_rule", "the eta rule and its readings", 25, ("01_find_duplicates",))
CURVE = Exercise("04_draw_the_retention_curve", "one pass for every eta", 15, ("03_apply_the_eta_rule",))
NORMDEL = Exercise("05_break_normdel", "NormDEL, and what it calls equal", 20)
FAIR = Exercise("06_compare_fairly", "seeds, random, no pre-training", 25, ("05_break_normdel",))
SELECTOR = Exercise("07_write_a_selector", "your own selector, submitted", 35, ("03_apply_the_eta_rule",))
NEAREST = Exercise("08_find_the_nearest", "an argmin without a matrix", 30, ("02_cluster_by_hand",))
TILES = Exercise("09_tile_the_cosine", "cosines in tiles", 40, ("08_find_the_nearest",))

EXERCISES = (DUPLICATES, CLUSTERS, ETA, CURVE, NORMDEL, FAIR, SELECTOR, NEAREST, TILES)

_WELCOME, _END = Talk("welcome, everybody's first cell runs", 10), Talk("what we take home", 5)

SYLLABI = (
    Syllabus("90-minutes", 90, (_WELCOME, DUPLICATES, ETA, CURVE, NORMDEL, _END)),
    Syllabus(
        "half-day",
        180,
        (
            _WELCOME,
            *(DUPLICATES, CLUSTERS, ETA, CURVE),
            Talk("break; the leaderboard starts", 15),
            *(NORMDEL, SELECTOR),
            Talk("the leaderboard by three scores", 20),
            _END,
        ),
    ),
    Syllabus(
        "day",
        360,
        (
            _WELCOME,
            *(DUPLICATES, CLUSTERS, ETA, CURVE),
            Talk("break", 15),
            *(NORMDEL, FAIR),
            Talk("lunch; the leaderboard starts", 60),
            SELECTOR,
            NEAREST,
            Talk("break", 15),
            TILES,
            Talk("the leaderboard by three scores", 30),
            _END,
        ),
    ),
)


def find(name: str) -> Syllabus:
    """Return the syllabus `name`.

    Raises
    ------
    MedDELError
        There is none of that name.
    """
    for syllabus in SYLLABI:
        if syllabus.name == name:
            return syllabus
    choices = ", ".join(syllabus.name for syllabus in SYLLABI)
    raise MedDELError(f"there is no syllabus {name!r}", fix=f"choose one of {choices}")


def markdown(syllabus: Syllabus) -> str:
    """Return a syllabus as a table in Markdown: from which minute on, what, and for how long."""
    lines, begun = ["| from | what | minutes |", "| ---: | --- | ---: |"], 0
    for part in syllabus.parts:
        what = f"{part.name[:2]} {part.about}" if isinstance(part, Exercise) else part.about
        lines.append(f"| {begun // 60}:{begun % 60:02d} | {what} | {part.minutes} |")
        begun += part.minutes
    return "\n".join(lines)
