"""How good a frozen encoder is for a task: a logistic regression on its embeddings, seconds a score."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from compendium.questions.labelled import LabelledSet
from meddel import embed
from meddel import encoder as encoders
from meddel.config import EncoderConfig

PENALTY = 0.1
"""scikit-learn's C on standardised embeddings, fixed: chosen per encoder it would be one more thing that varies."""
_BATCH = 256


class Score(NamedTuple):
    """Area under the ROC curve (the mean over classes, each against the rest) and balanced accuracy, fractions."""

    auc: float
    balanced_accuracy: float


def embeddings(
    images: np.ndarray, weights: Path | None, config: EncoderConfig, seed: int, device: str = "cpu"
) -> np.ndarray:
    """Return the mean patch token of every image.

    Parameters
    ----------
    images : ndarray
        uint8 [n, s, s, 3].
    weights : Path or None
        Of the encoder; None is one without pre-training, random at `seed`.
    config : EncoderConfig
        Of the encoder without pre-training.
    seed : int
        Of its weights.
    device : str
        As torch names it.

    Returns
    -------
    ndarray
        float32 [n, width].
    """
    model = encoders.build(config, seed).eval() if weights is None else encoders.load(weights)[0]
    model = model.to(device)
    # copied part by part: torch warns of a map that can't be written
    parts = (torch.from_numpy(np.array(images[start : start + _BATCH])) for start in range(0, len(images), _BATCH))
    return torch.cat([embed.embed_batch(model, part.to(device)).cpu() for part in parts]).numpy()


def probe(features: np.ndarray, data: LabelledSet, train: np.ndarray, test: np.ndarray) -> Score:
    """Train a logistic regression on the rows `train` and score it on `test`.

    Parameters
    ----------
    features : ndarray
        float [n, d], of all of the set's images; standardised here by the mean and deviation of `train`.
    data : LabelledSet
        n images.
    train, test : ndarray
        int, rows.

    Returns
    -------
    Score
    """
    scaler = StandardScaler().fit(features[train])
    model = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=2000)
    model.fit(scaler.transform(features[train]), data.labels[train])
    chances = model.predict_proba(scaler.transform(features[test]))
    truth = data.labels[test]
    binary = chances.shape[1] == 2
    auc = roc_auc_score(truth, chances[:, 1]) if binary else roc_auc_score(truth, chances, multi_class="ovr")
    return Score(float(auc), float(balanced_accuracy_score(truth, chances.argmax(axis=1))))
