"""The store: embeddings on disk in shards, with the index rows that they belong to and checksums.

A folder holds, for each shard, ``shard-00000.npy`` (float16 [m, d]) and ``shard-00000.parquet`` (its m index rows),
and ``store.json``: the width, what made the embeddings, and each shard's rows, sizes and SHA-256. A shard that is
listed there is whole, so work that was cut off goes on behind it.
"""

from meddel.store.importing import import_from
from meddel.store.lock import locked
from meddel.store.manifest import SHARD_ROWS
from meddel.store.opened import Store
from meddel.store.shard import Shard
from meddel.store.writing import ShardWriter, StoreWriter, write

__all__ = ["SHARD_ROWS", "Shard", "ShardWriter", "Store", "StoreWriter", "import_from", "locked", "write"]
