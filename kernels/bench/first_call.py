"""How long a process of its own takes to its first answer: importing and, for ours, compiling included."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

DATA = "import numpy as np; x = np.random.default_rng(0).standard_normal((13000, 128), dtype=np.float32)"
BATCH = "x, np.arange(13000), np.array([0, 13000])"
OURS = {
    "kmeans": "meddel_kernels.kmeans(x, 200, seed=0)",
    "near_duplicates": f"meddel_kernels.near_duplicates({BATCH}, 0.9)",
    "row_max_cosine": f"meddel_kernels.row_max_cosine({BATCH})",
    "top_neighbours": f"meddel_kernels.top_neighbours({BATCH}, 10)",
}
PEERS = {
    "kmeans": {
        "scikit-learn": "from sklearn.cluster import KMeans; KMeans(200, n_init=1, random_state=0).fit(x)",
        "FAISS": "import faiss; faiss.Kmeans(128, 200, min_points_per_centroid=1).train(x)",
        "torch, its import alone": "import torch",
    },
}


def warm(call: str) -> None:
    """Run the call in a process whose functions were compiled by an earlier one."""
    _run(f"import meddel_kernels; {OURS[call]}", {})


def cold(call: str) -> None:
    """Run the call in a process that finds nothing compiled."""
    with tempfile.TemporaryDirectory() as folder:
        _run(f"import meddel_kernels; {OURS[call]}", {"NUMBA_CACHE_DIR": folder})


def peer(statement: str) -> None:
    """Run a peer's call in a process of its own."""
    _run(statement, {})


def _run(statement: str, environment: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", f"{DATA}; {statement}"], env={**os.environ, **environment}, check=True)
