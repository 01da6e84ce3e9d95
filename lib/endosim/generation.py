"""Write the generated data: six folders of images, laid out as a user's own, and the truth about them."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from endosim.data_sets import DATA_SETS, DataSet
from endosim.render import Frame, render_frame
from endosim.scene import build_scene
from meddel import artefacts
from meddel.config import SyntheticConfig
from meddel.progress import progress

GENERATOR_VERSION = 4
TRUTH_FILE = "truth.parquet"
FRAME_LIST = "frames.csv"
TRUTH_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("centre", pa.string(), nullable=False),
        pa.field("video", pa.string(), nullable=False),
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("near_duplicate_group", pa.int32(), nullable=False),
        pa.field("disruption", pa.string()),
        pa.field("has_polyp", pa.bool_(), nullable=False),
        pa.field("has_instrument", pa.bool_(), nullable=False),
    ]
)


def generate(folder: Path, config: SyntheticConfig, seed: int, *, names: Sequence[str] = tuple(DATA_SETS)) -> Path:
    """Write pre-training sources and segmentation sets under `folder`, and return `folder`.

    A set `<set>` consists of ``<set>/images/*.jpg``, for labelled sets ``<set>/masks/*.png`` (0 or 255, of the image's
    stem and size), and ``<set>/frames.csv`` (name, centre, video, frame, split; the split is left to the index).
    ``truth.parquet`` (TRUTH_SCHEMA) has for every image of every set in `names`: video, frame, centre, group of near
    duplicates, disruption, and whether polyp or instrument are visible.

    The same `seed` gives the same bytes on the same machine. Finished sets are not made again, interrupted ones are
    completed video by video; whatever is there for another seed or another configuration is overwritten.
    """
    key = artefacts.hash_of("synthetic", GENERATOR_VERSION, config, seed)
    truth_key = artefacts.hash_of(key, list(names))
    truth_path = folder / TRUTH_FILE
    if artefacts.is_finished(truth_path, truth_key) and all(
        artefacts.is_finished(folder / name / FRAME_LIST, key) for name in names
    ):
        return folder
    with artefacts.recorded(truth_path, truth_key, parameters=config, seed=seed):
        tables = [table for name in names for table in _write_set(folder / name, DATA_SETS[name], config, seed, key)]
        artefacts.write_table(truth_path, gather_truth(tables))
    return folder


def _write_set(folder: Path, data_set: DataSet, config: SyntheticConfig, seed: int, key: str) -> list[pa.Table]:
    """Write what is missing of a set and return the truth of each of its videos."""
    listing, parts = folder / FRAME_LIST, folder / f".videos-{key[:16]}"
    videos = data_set.videos(config)
    paths = [parts / f"{video:05d}.parquet" for video in range(len(videos))]
    if artefacts.is_finished(listing, key) and all(path.exists() for path in paths):
        return [pq.read_table(path, schema=TRUTH_SCHEMA) for path in paths]
    with artefacts.recorded(listing, key, parameters=config, seed=seed):
        _clear_other_runs(folder, parts)
        bar = progress(what=f"draw {data_set.name}", total=sum(map(len, videos)), unit="image")
        tables = []
        for video, frames in enumerate(videos):
            if paths[video].exists():
                tables.append(pq.read_table(paths[video], schema=TRUTH_SCHEMA))
            else:
                tables.append(_write_video(folder, data_set, config, seed, video, frames))
                artefacts.write_table(paths[video], tables[-1])
            bar.update(len(frames))
        bar.close()
        artefacts.write_text(listing, _frame_list(tables))
    return tables


def _clear_other_runs(folder: Path, parts: Path) -> None:
    """Remove a set that another seed or configuration left: its images would pass for this one's."""
    if not parts.exists():
        for name in ("images", "masks"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for other in folder.glob(".videos-*"):
            shutil.rmtree(other)


def _write_video(
    folder: Path, data_set: DataSet, config: SyntheticConfig, seed: int, video: int, frames: list[int]
) -> pa.Table:
    scene = build_scene(seed, data_set.name, video, config)
    disrupted = np.ones(config.video_length, bool)
    disrupted[[frame for frame, plan in zip(scene.frames, scene.plan, strict=True) if plan is None]] = False
    groups = scene.path.near_duplicate_groups(disrupted)
    rows = []
    for frame in frames:
        picture = render_frame(seed, data_set.name, video, frame, config)
        stem = f"v{video:04d}_f{frame:04d}"
        _write_picture(folder, data_set, stem, picture)
        rows.append({
            "id": f"{data_set.name}/{stem}", "source": data_set.name, "centre": data_set.centre.name,
            "video": f"{data_set.centre.name}-{video:04d}", "frame": frame,
            "near_duplicate_group": int(groups[frame]), "disruption": picture.disruption,
            "has_polyp": bool(picture.polyp.any()), "has_instrument": bool(picture.instrument.any()),
        })  # fmt: skip
    return pa.Table.from_pylist(rows, schema=TRUTH_SCHEMA)


def _write_picture(folder: Path, data_set: DataSet, stem: str, picture: Frame) -> None:
    encoded = _encoded(picture.image, format="JPEG", quality=data_set.centre.jpeg_quality)
    artefacts.write_bytes(folder / "images" / f"{stem}.jpg", encoded)
    if data_set.purpose != "source":
        mask = picture.polyp if data_set.purpose == "polyp" else picture.instrument
        png = _encoded(mask.astype(np.uint8) * 255, format="PNG")
        artefacts.write_bytes(folder / "masks" / f"{stem}.png", png)


def _encoded(array: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, **options)
    return stream.getvalue()


def _frame_list(tables: list[pa.Table]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["name", "centre", "video", "frame", "split"])
    for row in (row for table in tables for row in table.to_pylist()):
        writer.writerow([row["id"].rsplit("/", 1)[1], row["centre"], row["video"], row["frame"], ""])
    return stream.getvalue()


def gather_truth(videos: list[pa.Table]) -> pa.Table:
    """Return one table of all videos, sorted by id, whose near-duplicate groups are counted through from 0."""
    offset, shifted = 0, []
    for table in videos:
        groups = [group + offset for group in table["near_duplicate_group"].to_pylist()]
        position = table.schema.get_field_index("near_duplicate_group")
        shifted.append(table.set_column(position, TRUTH_SCHEMA.field(position), pa.array(groups, pa.int32())))
        offset = max(groups) + 1
    return pa.concat_tables(shifted).sort_by("id")
