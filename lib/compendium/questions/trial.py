"""One trial of the open questions: pre-train on some images, then probe the frozen encoder on a labelled set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from compendium.questions.labelled import LabelledSet
from compendium.questions.linear_probe import PENALTY, Score, embeddings, probe
from meddel import artefacts
from meddel.config import EncoderConfig, Run, validated
from meddel.pretrain import pretrain


def architecture(run: Run, images: np.ndarray) -> EncoderConfig:
    """Return the run's encoder for images of another size: the same patches, and fewer or more of them.

    Raises
    ------
    MedDELError
        The side of the images (uint8 [n, s, s, 3]) is no multiple of the patch.
    """
    return validated(EncoderConfig, {**run.profile.encoder.model_dump(), "image_size": images.shape[1]})


def encoder(run: Run, images: np.ndarray, rows: np.ndarray, images_seen: int, seed: int, out: Path) -> Path:
    """Return the weights of an encoder that was pre-trained on ``images[rows]``; see `meddel.pretrain.pretrain`."""
    config = run.profile.pretrain.model_copy(update={"images_seen": images_seen})
    return pretrain(images, rows, architecture(run, images), config, seed, out, device=run.device)


def score(run: Run, data: LabelledSet, weights: Path | None, seed: int, out: Path) -> Score:
    """Return how well a frozen encoder serves a labelled set at `seed`; kept in ``score.json`` and not computed twice.

    Parameters
    ----------
    run : Run
        Its profile's encoder, and the device.
    data : LabelledSet
        Probed on; split by `seed`.
    weights : Path or None
        The encoder; None is one without pre-training, random at `seed`.
    seed : int
        Of the split and of random weights.
    out : Path
        Folder of the score.

    Returns
    -------
    Score
    """
    path, config = out / "score.json", architecture(run, data.images)
    origin = None if weights is None else artefacts.hash_of_file(weights)
    key = artefacts.hash_of("linear probe", data.content_hash, origin, config, seed, PENALTY)
    if not artefacts.is_finished(path, key):
        parameters = {"set": data.name, "weights": None if weights is None else str(weights)}
        with artefacts.recorded(
            path, key, parameters=parameters, seed=seed, data_hash=data.content_hash, device=run.device
        ):
            features = embeddings(data.images, weights, config, seed, run.device)
            artefacts.write_json(path, probe(features, data, *data.split(seed))._asdict())
    return Score(**json.loads(path.read_text(encoding="utf-8")))
