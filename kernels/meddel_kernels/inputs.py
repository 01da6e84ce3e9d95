"""Check the matrices that the calls take, and prepare them: nothing is copied that need not be.

| given | taken as |
| --- | --- |
| NumPy float16, float32, float64; strided, read-only, memory-mapped | itself |
| bfloat16, of torch or of NumPy with ml_dtypes | float32, which holds every bfloat16 |
| torch on the CPU, with or without a gradient | NumPy, in the same memory |
| whatever has ``__array__`` or, on the CPU, DLPack | NumPy, in the same memory where its owner allows it |
| a CUDA array (``__cuda_array_interface__``, or DLPack on a GPU) | CuPy in the same memory by ``cuda``, else a copy |

torch and CuPy are not imported here unless the array is theirs, or is on a GPU.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from meddel_kernels.backends import Backend, Rows, back_end
from meddel_kernels.cpu.threads import share_out, thread_count
from meddel_kernels.pairs import CACHE, blocks

LARGEST = 1e150  # squares of larger values overflow
HEAVIEST = 1e30  # weights times squared distances must stay far from overflow
_ON_GPU = (2, 13)  # DLPack's kDLCUDA and kDLCUDAManaged


def array(values: ArrayLike, name: str, backend: Backend = "cpu") -> np.ndarray:
    """Return `values` as a NumPy array, or as a CuPy array if they are on a GPU and `backend` is ``cuda``."""
    try:
        result = _read(values, keep=backend == "cuda")
    except (TypeError, ValueError, RuntimeError, BufferError, ImportError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{name}, a {type(values).__qualname__}, can't be read as an array: {reason}") from error
    if np.ma.is_masked(values):
        raise ValueError(f"{name} has masked values")
    return result


def matrix(values: ArrayLike, name: str, backend: Backend = "cpu", threads: int | None = 1) -> np.ndarray:
    """Return `values` as `array` does, checked to be a floating-point matrix of finite values up to 1e150."""
    x = array(values, name, backend)
    if x.ndim != 2 or 0 in x.shape or x.dtype not in (np.float16, np.float32, np.float64):
        raise ValueError(
            f"{name} must be a float16, bfloat16, float32 or float64 matrix with rows and columns, "
            f"not {x.dtype} of shape {x.shape}"
        )
    if hasattr(x, "__cuda_array_interface__") and back_end("cuda").largest(x) <= LARGEST:
        return x
    unfit: list[int] = []

    def look(first: int, last: int) -> None:
        for rows in blocks(last - first, x.shape[1], CACHE):
            block = x[first + rows.start : first + rows.stop]
            if not _within(block):
                fit = (np.abs(block.astype(np.float64)) <= LARGEST).all(axis=1)
                unfit.append(first + rows.start + int(fit.argmin()))
                return

    share_out(look, x.shape[0], max(1, CACHE // x.shape[1]), thread_count(threads))
    if unfit:
        raise ValueError(f"{name} holds NaN, infinity or a value beyond {LARGEST:g} in row {min(unfit)}")
    return x


def float64(values: ArrayLike, name: str) -> np.ndarray:
    """Return a checked matrix as contiguous float64."""
    return np.ascontiguousarray(matrix(values, name), np.float64)


def prepared(x: np.ndarray, backend: Backend, threads: int | None) -> Rows:
    """Return the checked matrix as the back end prepares it."""
    return back_end(backend).rows(x, thread_count(threads))


def weights_of(values: ArrayLike | None, n: int) -> np.ndarray | None:
    """Return the weights of `n` rows as float64, or None: finite, at least 0, the largest from 1e-30 to 1e30."""
    if values is None:
        return None
    given = array(values, "weights")
    if given.dtype.kind not in "biuf" or given.shape != (n,):
        raise ValueError(f"weights must be {n} numbers, not {given.dtype} of shape {given.shape}")
    weights = given.astype(np.float64)
    if not weights.min() >= 0 or not 1 / HEAVIEST <= weights.max() <= HEAVIEST:
        raise ValueError("weights must be finite and at least 0, the largest between 1e-30 and 1e30")
    return weights


def whole(values: ArrayLike, below: int, name: str) -> np.ndarray:
    """Return a one-dimensional array of whole numbers, checked to be from 0 to `below` - 1."""
    numbers = array(values, name)
    if numbers.ndim != 1 or (numbers.dtype.kind not in "iu" and numbers.size):
        raise ValueError(f"{name} must be whole numbers in one dimension, not {numbers.dtype} of shape {numbers.shape}")
    if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) < below:
        raise ValueError(f"{name} must lie between 0 and {below - 1}")
    return numbers


def _within(values: np.ndarray) -> bool:
    """Return whether all values are finite and at most 1e150."""
    if values.dtype == np.float16:
        # NumPy is a hundred times slower on half floats than on their bits, whose exponent decides.
        return int((values.view(np.uint16) & 0x7C00).max()) < 0x7C00
    return float(values.max()) <= LARGEST and float(values.min()) >= -LARGEST


def _read(values: Any, keep: bool) -> np.ndarray:
    if any(kind.__module__.partition(".")[0] == "torch" for kind in type(values).__mro__):
        values = values.detach()
        if str(values.dtype) == "torch.bfloat16":
            values = values.float()
        if not (keep and values.is_cuda):
            return values.numpy(force=True)
    if hasattr(values, "__cuda_array_interface__"):
        cupy = importlib.import_module("cupy")
        values = cupy.asarray(values)
        return values if keep else values.get()
    if hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
        if values.__dlpack_device__()[0] in _ON_GPU:
            values = importlib.import_module("cupy").from_dlpack(values)
            return values if keep else values.get()
        values = np.from_dlpack(values)
    values = np.asarray(values)
    return values.astype(np.float32) if values.dtype.name == "bfloat16" else values
