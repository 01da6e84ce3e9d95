"""What a stage has finished, kept as arrays under a key that says from what: written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from meddel import artefacts


def save(path: Path, key: str, **arrays: np.ndarray) -> None:
    """Write arrays and their key as ``.npz``, atomically; equal arrays give equal bytes.

    Raises
    ------
    MedDELError
        The file can't be written.
    """
    with artefacts.atomic_write(path) as stream:
        np.savez(stream, key=np.array(key), **arrays)


def load(path: Path, key: str) -> dict[str, np.ndarray] | None:
    """Return the arrays that `save` wrote under this key; None if there are none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["key"]) != key:
                return None
            return {name: file[name] for name in file.files if name != "key"}
    except Exception:  # whatever broken bytes lead to: the stage is done again
        return None
