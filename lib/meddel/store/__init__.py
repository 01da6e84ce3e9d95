"""The store: embeddings on disk in shards, with their index rows and checksums, which memory maps and streams read.

A folder holds for each shard ``shard-00000.npy`` (float16 [m, d]) and ``shard-00000.parquet`` (its m index rows), and
``store.json``: the width, what made the embeddings, and each shard's rows, sizes and SHA-256. A shard which is listed
there is whole, so interrupted work continues after it.
"""

from meddel.store.importing import import_from
from meddel.store.shard import SHARD_ROWS, Shard
from meddel.store.store import Store
from meddel.store.writing import ShardWriter, StoreWriter, locked, write

__all__ = ["SHARD_ROWS", "Shard", "ShardWriter", "Store", "StoreWriter", "import_from", "locked", "write"]
