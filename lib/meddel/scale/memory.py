"""How much memory working on a store takes beyond the interpreter, and how large a block may be under a limit.

    B (19 d + 450)  +  (80 + 21 min(12, n / k)) k d  +  120 n  +  3 I  +  32 MiB + 70,000 d    bytes

for n rows of width d in k clusters, read in blocks of B rows. The terms:

- a block: three float16 copies (one at work, two being read), unit rows in float64, what the kernels make of them;
- centroids, their sums and what the kernels make of those, and the candidates of k-means||, some ten for each cluster;
- rows: label, distance, order and cosine of each, and what sorting them takes;
- I, the bytes of all ids as Arrow holds them;
- what the kernels take whatever the size.

No file is mapped, so that what the system keeps of files in its cache does not count.
"""

from __future__ import annotations

from meddel.errors import MedDELError

BLOCK_ROWS = 32768
LEAST_ROWS = 512
_CONSTANT, _PER_COLUMN = 32 << 20, 70_000


def extra_bytes(n: int, d: int, k: int, block_rows: int = BLOCK_ROWS, id_bytes: int = 0) -> int:
    """Return the memory in bytes that `select` takes at most beyond the interpreter, as the module states.

    Parameters
    ----------
    n, d, k : int
        Rows, width and clusters.
    block_rows : int
        B.
    id_bytes : int
        I.
    """
    return _fixed(n, d, k, id_bytes) + min(n, block_rows) * _per_row(d)


def block_rows(limit: int | None, n: int, d: int, k: int, id_bytes: int) -> int:
    """Return how many rows a block may have for `limit` bytes of extra memory (None: 32,768 rows).

    Raises
    ------
    MedDELError
        The limit is too low; says how much it takes.
    """
    if limit is None:
        return min(n, BLOCK_ROWS)
    rows = (limit - _fixed(n, d, k, id_bytes)) // _per_row(d)
    if rows < min(n, LEAST_ROWS):
        least = extra_bytes(n, d, k, LEAST_ROWS, id_bytes)
        raise MedDELError(
            f"{limit / 1e6:.0f} MB of memory for {n} rows of {d} in {k} clusters", fix=f"allow {-(-least // 10**6)} MB"
        )
    return int(min(n, rows))


def _per_row(d: int) -> int:
    return 19 * d + 450


def _fixed(n: int, d: int, k: int, id_bytes: int) -> int:
    candidates = min(12 * k, n)
    return 80 * k * d + 21 * candidates * d + 120 * n + 3 * id_bytes + _CONSTANT + _PER_COLUMN * d
