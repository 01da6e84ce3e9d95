"""What every way to segment shares: its inputs, its identity, the loop over epochs with scores, and its artefacts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from meddel import artefacts
from meddel import encoder as encoders
from meddel.config import EncoderConfig, Head, SegmentConfig
from meddel.errors import MedDELError
from meddel.progress import progress
from meddel.segment.data import EVALUATED, SegmentationSet
from meddel.segment.metrics import SplitScore, score
from meddel.segment.scores import IMAGES_SCHEMA, SCORES_SCHEMA


@dataclass(frozen=True)
class Task:
    """One encoder on one segmentation set at one seed.

    Parameters
    ----------
    encoder : Path or None
        Weights; None is the encoder without pre-training, random at this seed.
    encoder_config : EncoderConfig
        What `encoder` must be.
    data : SegmentationSet
        Trained, validated and tested on.
    config : SegmentConfig
        Settings.
    seed : int
        Of the labels drawn, the head's weights, the order and the flips.
    selector, ratio : str, float
        Where the encoder comes from; only written into the scores.
    out : Path or None
        Folder of ``scores.parquet`` and ``images.parquet``; finished work is read, not done again. None writes nothing.
    device : str
        ``"cpu"`` or ``"cuda"``.
    transfer : sequence of SegmentationSet
        Other sets to test on after the last epoch (section 4.6); their rows bear the name ``"trained on>tested on"``.
    """

    encoder: Path | None
    encoder_config: EncoderConfig
    data: SegmentationSet
    config: SegmentConfig
    seed: int
    selector: str
    ratio: float
    out: Path | None = None
    device: str = "cpu"
    transfer: Sequence[SegmentationSet] = ()

    def model(self) -> VisionTransformer:
        """Return the encoder on the device: pre-trained, or random at the seed.

        Raises
        ------
        MedDELError
            The weights are those of another configuration.
        """
        if self.encoder is None:
            return encoders.build(self.encoder_config, self.seed).to(self.device)
        model, config = encoders.load(self.encoder)
        if config != self.encoder_config:
            raise MedDELError(f"the weights are of another encoder: {config}", self.encoder, "pre-train it anew")
        return model.to(self.device)

    def key(self, head: Head) -> str:
        """Return the hash of what decides the scores."""
        weights = None if self.encoder is None else artefacts.hash_of_file(self.encoder)
        hashes = [data.content_hash() for data in (self.data, *self.transfer)]
        labels = [self.selector, self.ratio, self.seed, head]
        settings = self.config.model_dump(mode="json", exclude={"heads"})
        return artefacts.hash_of("segment", weights, self.encoder_config, settings, labels, hashes)


Predict = Callable[[SegmentationSet, str], Tensor]
"""From a set and a split to where the foreground is predicted: bool [n, s, s] on the device."""
Prepare = Callable[[Task], tuple[int, Callable[[int], None], Predict]]
"""From a task to its number of epochs, a function that trains one of them (0-based), and one that predicts."""


def run(task: Task, head: Head, prepare: Prepare) -> pa.Table:
    """Train epoch by epoch and evaluate now and then; return the scores and write them if the task names a folder.

    Parameters
    ----------
    task : Task
        What to do.
    head : str
        Name of the head in the scores.
    prepare : callable
        What is particular to the way of segmenting.

    Returns
    -------
    Table
        Of `SCORES_SCHEMA`, rows by epoch, then validation before test.
    """
    names = [task.data.name, *(other.name for other in task.transfer)]
    if len(set(names)) < len(names):
        raise MedDELError("two segmentation sets have one name", ", ".join(names), "name them apart")
    for data in (task.data, *task.transfer):
        if data.images.shape[1] != task.encoder_config.image_size:
            raise MedDELError(
                f"images of {data.images.shape[1]} px for an encoder of {task.encoder_config.image_size} px",
                data.name,
                "decode them at the encoder's size",
            )
    if task.out is None:
        return _train(task, head, prepare)[0]
    path, key = task.out / "scores.parquet", task.key(head)
    if not artefacts.is_finished(path, key):
        parameters = {
            "encoder": task.encoder_config.model_dump(),
            "segment": task.config.model_dump(),
            "weights": None if task.encoder is None else artefacts.hash_of_file(task.encoder),
            "head": head,
        }
        data_hash = task.data.content_hash()
        with artefacts.recorded(
            path, key, parameters=parameters, seed=task.seed, data_hash=data_hash, device=task.device
        ):
            scores, images = _train(task, head, prepare)
            artefacts.write_table(task.out / "images.parquet", images)
            artefacts.write_table(path, scores)
    return pq.read_table(path)


def _train(task: Task, head: Head, prepare: Prepare) -> tuple[pa.Table, pa.Table]:
    start = time.perf_counter()
    epochs, train_epoch, predict = prepare(task)
    trained = time.perf_counter() - start
    rows: list[dict[str, object]] = []
    last: list[pa.Table] = []

    def evaluate(data: SegmentationSet, split: str, name: str, epoch: int) -> None:
        masks = torch.from_numpy(data.masks[data.rows(split)]).to(task.device)
        result = score(predict(data, split), masks)
        rows.append(
            {
                "set": name,
                "selector": task.selector,
                "ratio": task.ratio,
                "seed": task.seed,
                "head": head,
                "epoch": epoch + 1,
                "split": split,
                "foreground_iou": result.foreground_iou,
                "two_class_miou": result.two_class_miou,
                "seconds": trained,
            }
        )
        if epoch + 1 == epochs:
            last.append(_image_rows(data, split, name, result))

    for epoch in progress(range(epochs), what=f"segment {task.data.name} ({head})", unit="epoch"):
        start = time.perf_counter()
        train_epoch(epoch)
        trained += time.perf_counter() - start
        if (epoch + 1) % task.config.evaluate_every and epoch + 1 < epochs:
            continue
        for split in EVALUATED:
            if len(task.data.rows(split)):
                evaluate(task.data, split, task.data.name, epoch)
    for other in task.transfer:
        evaluate(other, "test", f"{task.data.name}>{other.name}", epochs - 1)
    return pa.Table.from_pylist(rows, schema=SCORES_SCHEMA), pa.concat_tables(last)


def _image_rows(data: SegmentationSet, split: str, name: str, result: SplitScore) -> pa.Table:
    ids = data.ids[data.rows(split)].tolist()
    columns = [[name] * len(ids), ids, [split] * len(ids), result.intersection, result.union, result.foreground]
    return pa.table([pa.array(column) for column in columns], names=IMAGES_SCHEMA.names).cast(IMAGES_SCHEMA)
