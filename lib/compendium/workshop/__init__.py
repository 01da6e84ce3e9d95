"""The workshop: exercises in short notebooks, checks that answer, syllabi that choose among them, and a leaderboard.

``notebooks/workshop`` holds the solutions, which are the source; ``python -m compendium.workshop`` makes the participants'
copies of them. ``notebooks/workshop/TEACHING.md`` is for who teaches.
"""

from compendium.workshop.checks import NotYet, check

__all__ = ["NotYet", "check"]
