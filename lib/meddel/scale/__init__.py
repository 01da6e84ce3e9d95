"""MedDEL on a store that is larger than the memory, with the result that it has in memory, bit for bit.

`select` goes through four stages, each of which leaves files in the output's folder and goes on from them: K-means
(``kmeans``), rows brought together cluster by cluster (``sorting``), cosines within clusters (``dedup``), and the
selection (``selecting``). What a stage does with one shard, or with one pack of clusters, is a function of its
arguments alone (`assign_shard`, `scatter_shard`, `dedup_pack`), which other processes may call as well.
"""

from meddel.scale.dedup import dedup_pack
from meddel.scale.generating import generate
from meddel.scale.kmeans import Assigned, Clusters, assign_shard, kmeans
from meddel.scale.memory import extra_bytes
from meddel.scale.selecting import select
from meddel.scale.sorting import scatter_shard
from meddel.scale.streaming import Stream

__all__ = [
    "Assigned",
    "Clusters",
    "Stream",
    "assign_shard",
    "dedup_pack",
    "extra_bytes",
    "generate",
    "kmeans",
    "scatter_shard",
    "select",
]
