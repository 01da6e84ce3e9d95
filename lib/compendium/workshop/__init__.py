"""The workshop: exercises in short notebooks, checks that answer, and a leaderboard for the room.

``notebooks/workshop`` has the solutions; ``make workshop`` writes the participants' notebooks of them, and
``notebooks/workshop/TEACHING.md`` is for teachers.
"""

from compendium.workshop.checks import NotYet, check

__all__ = ["NotYet", "check"]
