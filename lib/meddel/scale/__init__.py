"""MedDEL on a store that is larger than memory, by one process or a cluster's workers, as in memory, bit for bit.

`select` goes through three stages, each of which leaves files in the output's folder and continues from them: K-means
(``kmeans``), the cosines within clusters (``dedup``), and the selection (``selecting``).
"""

from meddel.scale.selecting import extra_bytes, select

__all__ = ["extra_bytes", "select"]
