"""The syllabi: their minutes, their order, and what the teacher's page says of them."""

from __future__ import annotations

import re

import pytest

from compendium.workshop import student, syllabus
from compendium.workshop.syllabus import EXERCISES, SYLLABI, Syllabus

PAGE = (student.folder() / "TEACHING.md").read_text(encoding="utf-8")

each = pytest.mark.parametrize("plan", SYLLABI, ids=lambda plan: plan.name)


def test_there_is_one_notebook_an_exercise() -> None:
    assert [exercise.name for exercise in EXERCISES] == sorted(path.stem for path in student.folder().glob("*.ipynb"))


@each
def test_the_parts_add_up(plan: Syllabus) -> None:
    assert sum(part.minutes for part in plan.parts) == plan.minutes


@each
def test_what_an_exercise_needs_comes_before_it(plan: Syllabus) -> None:
    done: set[str] = set()
    for exercise in plan.exercises:
        assert set(exercise.needs) <= done, exercise.name
        done.add(exercise.name)
    assert len(done) == len(plan.exercises), "an exercise comes twice"


def test_the_longest_has_all_exercises() -> None:
    assert set(max(SYLLABI, key=lambda plan: plan.minutes).exercises) == set(EXERCISES)


@each
def test_the_teachers_page_shows_the_syllabus(plan: Syllabus) -> None:
    assert f"### {plan.name}\n\n{syllabus.markdown(plan)}\n" in PAGE


def test_the_teachers_page_has_a_section_for_each_exercise() -> None:
    found = re.findall(r"^### (\d\d_\w+), (\d+) minutes$", PAGE, re.MULTILINE)
    assert found == [(exercise.name, str(exercise.minutes)) for exercise in EXERCISES]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_the_notebook_says_its_minutes_and_needs(exercise: syllabus.Exercise) -> None:
    text = (student.folder() / f"{exercise.name}.ipynb").read_text(encoding="utf-8")
    assert f"**Time**: {exercise.minutes} minutes" in text
    assert all(f"`{need}`" in text for need in exercise.needs)
