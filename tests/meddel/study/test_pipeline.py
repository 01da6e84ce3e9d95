"""The study: in order, each cell once, the same after a kill, at equal compute, and without leakage."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from meddel import artefacts, select, study
from meddel.config import Run
from meddel.errors import MedDELError
from meddel.study import Cell
from tests.meddel.study_cases import PROFILE, draw_data, run_of

CELLS = ["none", "all", "random-0.1", "meddel-0.1", "random-0.5", "meddel-0.5"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(data, tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def table(run: Run) -> pa.Table:
    """The scores of a whole study."""
    return study.run_study(run)


def files(out: Path, pattern: str = "**/*") -> dict[str, tuple[int, str]]:
    """The time of change and the content of every file."""
    found = sorted(path for path in out.glob(pattern) if path.is_file())
    return {str(path.relative_to(out)): (path.stat().st_mtime_ns, artefacts.hash_of_file(path)) for path in found}


def without_time(table: pa.Table) -> pa.Table:
    return table.drop_columns("seconds")


def history_of(run: Run, cell: Cell) -> pa.Table:
    """The history of a cell's pre-training, which is made if it is missing."""
    return pq.read_table(study.compute(run, {cell: ()})[cell].with_name("history.parquet"))


def test_whole_seeds_come_one_after_another_with_their_references_first(run: Run) -> None:
    assert [cell.name for cell in study.cells(run)] == CELLS * 2
    assert [cell.seed for cell in study.cells(run)] == [0] * 6 + [1] * 6
    assert [cell.ratio for cell in study.cells(run)[:6]] == [0, 1, 0.1, 0.1, 0.5, 0.5]
    shorter = study.shorter_cells(run)
    assert [(cell.name, cell.seed) for cell in shorter] == [
        ("meddel-0.5-compute-0.5", 0),
        ("meddel-0.5-compute-0.5", 1),
    ]
    assert Cell(selector="all", ratio=1, seed=0, compute=0.5).name == "all-compute-0.5"


def test_every_cell_has_its_scores_in_order(run: Run, table: pa.Table) -> None:
    rows = table.to_pylist()
    keys = [(row["seed"], row["selector"], row["ratio"], row["set"], row["epoch"], row["split"]) for row in rows]
    assert keys == [
        (cell.seed, cell.selector, cell.ratio, name, epoch, split)
        for cell in study.cells(run)
        for name in ("polyps", "tools")
        for epoch in (1, 2, 3)
        for split in ("val", "test")
    ]
    assert all(0 <= row["foreground_iou"] <= 1 for row in rows)
    assert pq.read_table(run.out / "scores.parquet").equals(table)
    finished = sorted(run.out.glob("study/seed-*/*/*/scores.parquet"), key=lambda path: path.stat().st_mtime_ns)
    expected = [f"seed-{seed}/{name}" for seed in (0, 1) for name in CELLS for _ in range(2)]
    assert [path.parents[1].relative_to(run.out / "study").as_posix() for path in finished] == expected


def test_a_second_call_does_nothing(run: Run, table: pa.Table) -> None:
    before = files(run.out)
    assert study.run_study(run).equals(table)
    after = files(run.out)
    assert after.pop("scores.parquet")[1] == before.pop("scores.parquet")[1]
    assert after == before


def test_cut_off_it_goes_on_to_the_same_scores(run: Run, table: pa.Table, data: Path, tmp_path: Path) -> None:
    cut = run_of(data, tmp_path / "out")
    middle = study.folder(cut, Cell(selector="meddel", ratio=0.1, seed=0)) / "polyps-probe" / "scores.parquet.json"
    over = threading.Event()

    def interrupt() -> None:
        while not middle.exists() and not over.is_set():
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            study.run_study(cut)
    finally:
        over.set()
        watcher.join()
    assert not (cut.out / "scores.parquet").exists()
    assert not list(cut.out.rglob("*.part"))
    done = files(cut.out, "study/seed-0/**/*.json")
    assert 0 < len(done) < len(files(run.out, "study/seed-*/**/*.json"))
    assert without_time(study.run_study(cut)).equals(without_time(table))
    assert {name: files(cut.out)[name] for name in done if name.endswith("parquet.json")} == {
        name: state for name, state in done.items() if name.endswith("parquet.json")
    }
    for pattern in ("study/**/*.safetensors", "study/**/selection.parquet"):
        expected = {name: content for name, (_, content) in files(run.out, pattern).items()}
        assert {name: content for name, (_, content) in files(cut.out, pattern).items()} == expected


@pytest.mark.parametrize("seed", range(5))
def test_no_image_of_a_later_evaluation_is_in_the_pool(run: Run, seed: int) -> None:
    index = study.study_index(run)
    split = study.split(run, index, seed)
    pool = split.pool
    ids, contents = set(pool.index["id"].to_pylist()), set(pool.index["sha256"].to_pylist())
    content_of = dict(zip(index["id"].to_pylist(), index["sha256"].to_pylist(), strict=True))
    assert pool.index.equals(index.take(pool.rows))
    for name, masked in (("polyps", 30), ("tools", 20)):
        found = split.sets[name]
        assert len(found.ids) == masked
        assert set(found.ids[found.splits == "train"]) <= ids
        held_out = set(found.ids[found.splits != "train"])
        assert len(held_out) >= 4
        assert not held_out & ids
        assert not {content_of[image] for image in held_out} & contents
    assert not {f"polyps/{number}" for number in range(30, 34)} & ids, "an image without mask falls into no split"
    copies = {image for image in ids if image.startswith("frames/c")}
    assert 0 < len(copies) < 10, "copies of training images stay, those of the others go"


def test_without_downstream_images_the_pool_is_the_sources(data: Path, tmp_path: Path) -> None:
    pool = study.pool(run_of(data, tmp_path, pool_downstream_train=False), 0)
    assert set(pool.index["source"].to_pylist()) == {"frames"}
    assert 20 < len(pool.rows) < 30


def test_budgets_are_exact_and_every_ratio_sees_as_many_images(run: Run, table: pa.Table) -> None:
    for cell in study.cells(run):
        if cell.selector == "none":
            assert study.compute(run, {cell: ()}) == {cell: None}
            continue
        history = history_of(run, cell)
        assert history["images"].to_pylist()[-1] == 96
        if cell.selector != "all":
            n, kept = len(study.pool(run, cell.seed).rows), pc.sum(study.selection(run, cell)["kept"]).as_py()
            assert kept == select.budget_for(cell.ratio, n)


def test_equal_epochs_are_a_share_of_the_pool(data: Path, tmp_path: Path) -> None:
    run = run_of(data, tmp_path, pretrain={**PROFILE["pretrain"], "equal": "epochs"})
    images = {
        name: history_of(run, Cell(selector=name, ratio=ratio, seed=0))["images"].to_pylist()[-1]
        for name, ratio in (("all", 1.0), ("random", 0.5))
    }
    pool = len(study.pool(run, 0).rows)
    assert images == {"all": 96, "random": round(96 * select.budget_for(0.5, pool) / pool)}


def test_shorter_pretraining_sees_its_share(run: Run, table: pa.Table) -> None:
    before = (run.out / "scores.parquet").read_bytes()
    cells = study.shorter_cells(run)[:1]
    found = study.run_study(run, cells)
    assert set(found["ratio"].to_pylist()) == {0.5}
    assert history_of(run, cells[0])["images"].to_pylist()[-1] == 48
    assert (run.out / "scores.parquet").read_bytes() == before


def test_transfer_tests_on_the_other_sets_without_new_training(run: Run, table: pa.Table) -> None:
    before = files(run.out, "study/**/*")
    found = study.run_study(run, [Cell(selector="all", ratio=1, seed=1)], transfer=True).to_pylist()
    assert [(row["set"], row["split"], row["epoch"]) for row in found] == [
        ("polyps>tools", "test", 3),
        ("tools>polyps", "test", 3),
    ]
    assert files(run.out, "study/**/*") == before
    assert not any(">" in name for name in table["set"].to_pylist())


def test_seeds_differ(table: pa.Table) -> None:
    frame = table.to_pandas().query("split == 'test' and epoch == 3 and selector == 'all'")
    assert frame.foreground_iou.nunique() > 1


def test_more_images_are_noticed(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    first = study.study_index(run_of(copy, tmp_path / "out"))
    shutil.copy(copy / "tools" / "images" / "00.png", copy / "frames" / "images" / "new.png")
    assert len(study.study_index(run_of(copy, tmp_path / "out"))) == len(first) + 1


@pytest.mark.parametrize(("kept", "said"), [("frames", "no set with masks"), ("polyps", "nothing to pre-train on")])
def test_a_folder_that_lacks_a_role_is_refused(data: Path, tmp_path: Path, kept: str, said: str) -> None:
    with pytest.raises(MedDELError, match=said):
        study.study_index(run_of(data / kept, tmp_path / "out", pool_downstream_train=False))
    assert not (tmp_path / "out" / "index.parquet").exists()


@pytest.mark.parametrize("nested", [False, True], ids=["the set itself", "a folder that holds it"])
def test_a_set_whose_images_all_have_masks_gives_its_training_images_as_the_pool(
    data: Path, tmp_path: Path, nested: bool
) -> None:
    folder = tmp_path / "only" if nested else data / "tools"
    if nested:
        shutil.copytree(data / "tools", folder / "tools")
    run = run_of(folder, tmp_path / "out", seeds=1, ratios=(0.5,))
    split = study.split(run, study.study_index(run), 0)
    [found] = split.sets.values()
    assert split.pool.index["id"].to_pylist() == sorted(found.ids[found.splits == "train"].tolist())
    table = study.run_study(run).to_pandas()
    assert set(table.selector) == {"none", "all", "random", "meddel"}


def test_a_pool_that_a_stricter_profile_empties_is_refused(data: Path, tmp_path: Path) -> None:
    study.study_index(run_of(data / "tools", tmp_path / "out"))
    with pytest.raises(MedDELError, match="nothing to pre-train on"):
        study.pool(run_of(data / "tools", tmp_path / "out", pool_downstream_train=False), 0)
