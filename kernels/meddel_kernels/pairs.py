"""Numbers that belong to one pair of rows alone, and the blocks in which the definitions compute them.

A squared distance is the sum of squared differences, a cosine the sum of products of two unit rows, both added up by
NumPy along contiguous rows. A matrix product is only the *screen* that says which few pairs can still win; how BLAS
rounds it, in which blocks and with how many threads, decides nothing. So equal rows get equal values, ties go to the
lowest index, and the bytes do not depend on the number of threads.

Bound behind the screen. With u = 2**-53 and g = (d + 4) u, a product of d terms, added up in any order, errs by at most
g |a| |b|. A score |c|^2 - 2 a.c therefore errs by at most E = g (|a| + |c|)^2, and so does the sum of squared
differences. If c wins by the latter, its score is at most 4 E above the lowest score; the screen keeps 8 E. For two
unit rows a product and the sum of products err by at most g each, and the screen keeps 8 g.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

BLOCK = 1 << 23  # float64 values in the largest temporary array: 64 MiB
CACHE = 1 << 19  # the same for what is read again at once: 4 MiB


def blocks(n: int, width: int, size: int = BLOCK) -> Iterator[slice]:
    """Cut `n` rows of `width` values into slices of at most `size` values, at least one row each."""
    step = max(1, size // max(1, width))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def rounding(d: int) -> float:
    """Return g, the relative error of a product of `d` terms (see above)."""
    return (d + 4) * 2.0**-53


def squared_differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the squared distance of each row of `a` to that of `b`: float64 [m, d], [m, d] or [d] -> [m]."""
    difference = a - b
    return np.square(difference, out=difference).sum(axis=1)


def products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the product of each row of `a` with that of `b`: float64 [m, d], [m, d] -> [m]."""
    return (a * b).sum(axis=1)


def by_pairs(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    a: np.ndarray,
    rows_a: np.ndarray,
    b: np.ndarray,
    rows_b: np.ndarray,
) -> np.ndarray:
    """Return ``function(a[rows_a], b[rows_b])``, evaluated in blocks of pairs: float64 [m]."""
    values = np.empty(len(rows_a))
    for pairs in blocks(len(rows_a), a.shape[1], CACHE):
        values[pairs] = function(a[rows_a[pairs]], b[rows_b[pairs]])
    return values


def least_of_each(row: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return, for each distinct value of the sorted `row`, the position of its least value, the first of equals."""
    by_value = np.lexsort((values, row))
    return by_value[np.unique(row, return_index=True)[1]]


def first_of_equals(rows: np.ndarray) -> np.ndarray:
    """Return the positions, ascending, of the rows that equal no earlier row."""
    # Adding zero turns -0.0 into 0.0: equal rows then have equal bytes.
    whole = np.ascontiguousarray(rows + 0.0).view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0]
    return np.sort(np.unique(whole, return_index=True)[1])
