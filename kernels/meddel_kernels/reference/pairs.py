"""Numbers that belong to one pair of rows alone, and the blocks in which they are computed.

A squared distance is the sum of squared differences, a cosine the sum of products of two unit rows, both added up by
NumPy along contiguous rows. A matrix product is only the *screen* that says which few pairs can still win; how BLAS
rounds it, in which blocks and with how many threads, decides nothing. So equal rows get equal values, ties go to the
lowest index, and the bytes do not depend on the number of threads.

Bound behind the screen. With u = 2**-53 and g = (d + 4) u, a product of d terms, added up in any order, errs by at most
g |a| |b|. A score |c|^2 - 2 a.c therefore errs by at most E = g (|a| + |c|)^2, and so does the sum of squared
differences. If c wins by the latter, its score lies at most 4 E above the lowest score; the screen keeps 8 E. For two
unit rows a product and the sum of products err by at most g each, and the screen keeps 8 g.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

BLOCK = 1 << 23  # float64 values in the largest temporary array: 64 MiB
CACHE = 1 << 19  # the same for what is read again at once: 4 MiB
LARGEST = 1e150  # squares of larger values overflow


def checked(values: np.ndarray, name: str) -> np.ndarray:
    """Return the array `values` (NumPy's or CuPy's), checked to be a floating-point matrix of finite values.

    Raises
    ------
    ValueError
        It is no float16, float32 or float64 matrix, has no row or column, or holds NaN, infinity or a value beyond
        1e150.
    """
    check_type(values, name)
    refuse(first_unfit(values, 0, values.shape[0]), name)
    return values


def check_type(values: np.ndarray, name: str) -> None:
    """Refuse an array that is no float16, float32 or float64 matrix with rows and columns."""
    if values.ndim != 2 or 0 in values.shape or values.dtype not in (np.float16, np.float32, np.float64):
        raise ValueError(
            f"{name} must be a float16, bfloat16, float32 or float64 matrix with rows and columns, "
            f"not {values.dtype} of shape {values.shape}"
        )


def first_unfit(values: np.ndarray, first: int, last: int) -> int | None:
    """Return the first row from `first` to `last` with NaN, infinity or a value beyond 1e150; None if all are fit."""
    for rows in blocks(last - first, values.shape[1], CACHE):
        block = values[first + rows.start : first + rows.stop]
        if not _within(block):
            return first + rows.start + int(np.argmin((np.abs(block.astype(np.float64)) <= LARGEST).all(axis=1)))
    return None


def refuse(row: int | None, name: str) -> None:
    """Say which row of a matrix is not fit, if one is."""
    if row is not None:
        raise ValueError(f"{name} holds NaN, infinity or a value beyond {LARGEST:g} in row {row}")


def _within(values: np.ndarray) -> bool:
    """Tell whether all values are finite and at most 1e150."""
    if values.dtype == np.float16:
        # NumPy is a hundred times slower on half floats than on their bits, where the exponent tells.
        return int((values.view(np.uint16) & 0x7C00).max()) < 0x7C00
    return float(values.max()) <= LARGEST and float(values.min()) >= -LARGEST


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Return the rows scaled to Euclidean length 1.

    Parameters
    ----------
    x : float16, float32 or float64 [n, d]

    Returns
    -------
    float64 [n, d]. A row of zeros stays a row of zeros.

    Raises
    ------
    ValueError
        `x` has another type or shape, or holds NaN, infinity or a value beyond 1e150.
    """
    unit = np.array(checked(np.asarray(x), "x"), np.float64, order="C")
    # Dividing by the largest value first keeps the squares of tiny rows from vanishing.
    peak = np.maximum(unit.max(axis=1), -unit.min(axis=1))[:, None]
    np.divide(unit, peak, out=unit, where=peak > 0)
    norm = np.sqrt(np.square(unit).sum(axis=1))[:, None]
    return np.divide(unit, norm, out=unit, where=norm > 0)


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
    """Return, for each distinct value of the sorted `row`, where its least value stands, the first of equals."""
    by_value = np.lexsort((values, row))
    return by_value[np.unique(row, return_index=True)[1]]


def first_of_equals(rows: np.ndarray) -> np.ndarray:
    """Return the positions, ascending, of the rows that equal no earlier row."""
    # Adding zero turns -0.0 into 0.0: equal rows then have equal bytes.
    whole = np.ascontiguousarray(rows + 0.0).view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0]
    return np.sort(np.unique(whole, return_index=True)[1])
