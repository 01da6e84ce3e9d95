"""Generated data are made once, in the run's own folder, and never into a user's."""

from __future__ import annotations

from pathlib import Path

from compendium.generated import with_data
from meddel import config
from meddel.config import Run, SyntheticConfig

TINY = SyntheticConfig(frames_per_source=4, images_per_set=4, size=32, video_length=2)


def tiny(**settings: object) -> Run:
    return Run(profile=config.profile("smoke", synthetic=TINY), **settings)


def test_generated_data_are_made_once(tmp_path: Path) -> None:
    run = with_data(tiny(data=tmp_path / "data", generated=True, out=tmp_path))
    made = {path: path.stat().st_mtime_ns for path in run.data.rglob("*")}
    assert (run.data / "truth.parquet") in made
    assert with_data(run) == run
    assert {path: path.stat().st_mtime_ns for path in run.data.rglob("*")} == made


def test_a_users_folder_is_left_alone_even_where_generated_data_would_be(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    run = config.run("smoke", data=tmp_path / "data", out=tmp_path)
    assert with_data(run) is run and not run.generated
    assert not list(run.data.iterdir())
