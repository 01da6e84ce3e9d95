"""Pre-train on some images, freeze the encoder, and let a logistic regression read labels off its embeddings.

Also here: the sets that a run's data offer. Without data, generated endoscopy and handwritten digits take their place:
they show that a computation runs, and say nothing about medicine or about photographs.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from compendium import truth_check
from compendium.questions import labelled
from compendium.questions.labelled import ENDOSCOPY, NATURAL, UNKNOWN, LabelledSet
from meddel import artefacts, embed, study
from meddel import encoder as encoders
from meddel.config import EncoderConfig, Run, validated
from meddel.errors import MedDELError
from meddel.images import pixels
from meddel.pretrain import pretrain

PENALTY = 0.1
"""scikit-learn's C on standardised embeddings, fixed, so that it does not vary with the encoder."""
GENERATED = "generated endoscopy"
_BATCH = 256


def trained(run: Run, images: np.ndarray, rows: np.ndarray, images_seen: int, seed: int, out: Path) -> Path:
    """Pre-train the run's encoder on ``images[rows]`` and return the path of its weights."""
    config = run.profile.pretrain.model_copy(update={"images_seen": images_seen})
    return pretrain(images, rows, _architecture(run, images), config, seed, out, device=run.device)


def embeddings(run: Run, images: np.ndarray, weights: Path | None, seed: int) -> np.ndarray:
    """Return the mean patch token of every image: float32 [n, width].

    Without `weights` the encoder is `meddel.encoder.build`'s, random at `seed`, which is not the network that
    pre-training starts from.
    """
    model = encoders.build(_architecture(run, images), seed).eval() if weights is None else encoders.load(weights)[0]
    model = model.to(run.device)
    # copied part by part: torch warns of a map that can't be written
    parts = (torch.from_numpy(np.array(images[start : start + _BATCH])) for start in range(0, len(images), _BATCH))
    return torch.cat([embed.embed_batch(model, part.to(run.device)).cpu() for part in parts]).numpy()


def probe(features: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    """Train a logistic regression on the rows `train`, and return its area under the ROC curve on the rows `test`.

    With more than two classes it is the mean over classes, each against the rest.
    """
    scaler = StandardScaler().fit(features[train])
    model = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=2000)
    model.fit(scaler.transform(features[train]), labels[train])
    chances = model.predict_proba(scaler.transform(features[test]))
    return float(roc_auc_score(labels[test], chances[:, 1] if chances.shape[1] == 2 else chances, multi_class="ovr"))


def score(run: Run, data: LabelledSet, weights: Path | None, seed: int, out: Path) -> float:
    """Return how well a frozen encoder serves a labelled set; kept in ``score.json`` and not computed twice.

    `weights` None is an encoder without pre-training; `seed` decides it, and the set's split.
    """
    path, config = out / "score.json", _architecture(run, data.images)
    origin = None if weights is None else artefacts.hash_of_file(weights)
    key = artefacts.hash_of("linear probe", data.content_hash, origin, config, seed, PENALTY)
    if not artefacts.is_finished(path, key):
        known = {"seed": seed, "data_hash": data.content_hash, "device": run.device}
        parameters = {"set": data.name, "weights": None if weights is None else str(weights)}
        with artefacts.recorded(path, key, parameters=parameters, **known):
            features = embeddings(run, data.images, weights, seed)
            artefacts.write_json(path, {"auc": probe(features, data.labels, *data.split(seed))})
    return json.loads(path.read_text(encoding="utf-8"))["auc"]


def _architecture(run: Run, images: np.ndarray) -> EncoderConfig:
    """Return the run's encoder for images of another size: the same patches, fewer or more of them."""
    return validated(EncoderConfig, {**run.profile.encoder.model_dump(), "image_size": images.shape[1]})


def other_modalities(run: Run, size: int) -> list[LabelledSet]:
    """Return the labelled sets that show neither endoscopy nor nature; without data, the generated endoscopy alone."""
    if run.generated:
        return [generated_endoscopy(run, size)]
    return [data for data in labelled.find(run, size) if data.modality not in (ENDOSCOPY, NATURAL)]


def domains(run: Run, size: int) -> dict[str, LabelledSet]:
    """Return the run's largest labelled sets of endoscopy (``medical``) and of natural images, as far as there are any.

    Without data they are generated endoscopy and handwritten digits.
    """
    if run.generated:
        return {"medical": generated_endoscopy(run, size), "natural": digits(size)}
    found, sets = {}, labelled.find(run, size)
    for domain, modality in (("medical", ENDOSCOPY), ("natural", NATURAL)):
        if mine := [data for data in sets if data.modality == modality]:
            found[domain] = max(mine, key=lambda data: len(data.images))
    return found


def masked_studies(run: Run) -> dict[str, Run]:
    """Return a run of the study for every set with masks that is known to show something other than endoscopy.

    Each is the same study on that set alone, with random selection and MedDEL only. Its pool is the set's training
    images, without their masks.
    """
    found = {}
    if run.generated:
        return found
    profile = run.profile.model_copy(update={"selectors": ("random", "meddel"), "pool_downstream_train": True})
    for root in labelled.folders(run):
        if labelled.modality_of(root.name) not in (ENDOSCOPY, NATURAL, UNKNOWN) and (root / "masks").is_dir():
            changes = {"data": root, "out": run.out / "questions" / "study" / root.name, "profile": profile}
            found[root.name] = run.model_copy(update=changes)
    return found


def generated_endoscopy(run: Run, size: int) -> LabelledSet:
    """Return the run's generated images, labelled by whether a polyp is visible; a video is in one part."""
    table = study.study_index(run)
    truth = truth_check.read(run.data) if run.generated else None
    if truth is None:
        raise MedDELError("these data were not generated", run.data, "leave out --data")
    known = truth.to_pandas().set_index("id").loc[table["id"].to_pylist()]
    words = np.where(known.has_polyp, "polyp", "no polyp").tolist()
    groups = np.unique(known.source + known.video, return_inverse=True)[1].astype(np.int64)
    images = np.asarray(pixels.decode(table, size, run.out / "questions" / "labelled" / f"generated-{size}").images)
    return labelled.from_labels("generated_polyps", GENERATED, images, words, groups, [""] * len(words))


def digits(size: int, seed: int = 0) -> LabelledSet:
    """Return 600 of scikit-learn's handwritten digits, in the place of natural images."""
    images, labels = load_digits(return_X_y=True)
    rows = np.random.default_rng(seed).choice(len(labels), 600, replace=False)
    grey = (images[rows].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    words, groups = labels[rows].astype(str).tolist(), np.arange(len(rows))
    squares = np.stack([labelled.square(image, size) for image in grey])
    return labelled.from_labels("digits", "handwriting", squares, words, groups, [""] * len(rows))
