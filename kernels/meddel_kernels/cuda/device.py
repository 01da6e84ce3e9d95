"""Where the kernels run: source text, arguments by their signature, and the GPU by way of CuPy.

The rest of the package works with a `Device`. `CupyDevice` is the one in use; the tests have another that runs the same
source on a CPU.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

LEAST_CAPABILITY = 75
THREADS = 256
WARPS = THREADS // 32
ELEMENTS = {"float16": "half_bits", "float32": "float", "float64": "double"}

_FOLDER = Path(__file__).parent
_SCALARS = {"int": np.int32, "long long": np.int64, "float": np.float32, "double": np.float64}
_POINTED = {
    "signed char": "int8", "int": "int32", "long long": "int64", "unsigned long long": "uint64", "float": "float32",
    "double": "float64", "half_bits": "float16",
}  # fmt: skip

_FLOAT32, _FLOAT16 = 0, 2  # CUDA_R_32F, CUDA_R_16F
_ONE, _ZERO = np.ones(1, np.float32), np.zeros(1, np.float32)

Array = Any
"""An array in a device's memory: it has a shape and a dtype, and is cut along its rows by slices."""


class Device(Protocol):
    """Memory, and kernels that work in it."""

    def memory(self) -> int:
        """Return how many bytes are free."""
        ...

    def upload(self, values: Any) -> Array:
        """Return the values in the device's memory, contiguous; an array that is there already is used in place."""
        ...

    def full(self, shape: int | tuple[int, ...], value: float, dtype: type) -> Array:
        """Return a new array filled with one value."""
        ...

    def empty(self, shape: int | tuple[int, ...], dtype: type) -> Array:
        """Return a new array with anything in it."""
        ...

    def download(self, array: Array) -> np.ndarray:
        """Wait for what has been launched, and return an array's values."""
        ...

    def launch(self, kernel: str, blocks: int, *arguments: Any) -> None:
        """Run ``file.kernel`` with so many blocks of `THREADS` threads; see `bind` for the arguments."""
        ...

    def gemm(self, a: Array, b: Array, out: Array) -> None:
        """Compute ``out[:, :n] = a @ b.T``, a float16 [m, l], b float16 [n, l], out float32 [m, n or more].

        Each product errs by at most what ``scores.cuh`` states; the other columns of `out` are anything.
        """
        ...


class Kernel(NamedTuple):
    """A kernel's name, and the types of its parameters as they stand in the source."""

    name: str
    parameters: tuple[str, ...]


def source(file: str, replaced: dict[str, str] | None = None) -> str:
    """Return ``file``.cu with every header it includes written out once.

    CuPy keeps compiled code by the text that it is given, and would not see a changed header. `replaced` holds other
    texts for headers, by their names.
    """
    seen: set[str] = set()

    def text(name: str) -> str:
        if name in seen:
            return ""
        seen.add(name)
        whole = (replaced or {}).get(name) or (_FOLDER / name).read_text(encoding="utf-8")
        whole = whole.replace("#pragma once\n", "")
        return re.sub(r'^#include "(.*)"\n', lambda found: text(found[1]), whole, flags=re.MULTILINE)

    return text(f"{file}.cu")


@functools.cache
def kernels(file: str) -> dict[str, Kernel]:
    """Return the kernels of a file by their names."""
    pattern = r'extern "C" __global__ void __launch_bounds__\(.*\)\n(\w+)\(([^)]*)\)'
    found = {}
    for name, parameters in re.findall(pattern, source(file)):
        types = [re.sub(r"\w+$", "", part).replace("const ", "").strip() for part in parameters.split(",")]
        found[name] = Kernel(name, tuple(types))
    return found


def element_of(kernel: Kernel, arguments: Sequence[Any]) -> str:
    """Return what ELEMENT stands for in a launch: the type of the arrays in its place."""
    for kind, value in zip(kernel.parameters, arguments, strict=True):
        if kind == "ELEMENT*":
            return ELEMENTS[value.dtype.name]
    return "float"


def bind(kernel: Kernel, arguments: Sequence[Any]) -> list[Any]:
    """Return the arguments as the kernel's signature has them: arrays as they are, None as a null pointer, numbers.

    Raises
    ------
    TypeError
        An array has another type than the parameter or gaps between its rows, or there are more or fewer arguments
        than parameters.
    """
    if len(arguments) != len(kernel.parameters):
        raise TypeError(f"{kernel.name} takes {len(kernel.parameters)} arguments, not {len(arguments)}")
    bound: list[Any] = []
    for number, (kind, value) in enumerate(zip(kernel.parameters, arguments, strict=True)):
        if not kind.endswith("*"):
            bound.append(_SCALARS[kind](value))
        elif value is None:
            bound.append(np.uint64(0))
        elif value.dtype.name not in ELEMENTS if kind == "ELEMENT*" else value.dtype != _POINTED[kind[:-1]]:
            raise TypeError(f"argument {number} of {kernel.name} must be {kind}, not {value.dtype}")
        elif not value.flags.c_contiguous:
            raise TypeError(f"argument {number} of {kernel.name} has gaps between its rows")
        else:
            bound.append(value)
    return bound


class CupyDevice:
    """The current CUDA device of CuPy."""

    def __init__(self) -> None:
        import cupy

        self._cupy = cupy

    def memory(self) -> int:
        """Return how many bytes are free, those that CuPy holds in reserve included."""
        pool = self._cupy.get_default_memory_pool()
        return int(self._cupy.cuda.runtime.memGetInfo()[0]) + int(pool.free_bytes())

    def upload(self, values: Any) -> Array:
        """Return the values on the device; CuPy arrays, and tensors of torch that lie on it, are used in place."""
        return self._cupy.ascontiguousarray(self._cupy.asarray(values))

    def full(self, shape: int | tuple[int, ...], value: float, dtype: type) -> Array:
        """Return a new array filled with one value."""
        return self._cupy.full(shape, value, dtype)

    def empty(self, shape: int | tuple[int, ...], dtype: type) -> Array:
        """Return a new array with anything in it."""
        return self._cupy.empty(shape, dtype)

    def download(self, array: Array) -> np.ndarray:
        """Wait for what has been launched, and return an array's values."""
        return self._cupy.asnumpy(array)

    def launch(self, kernel: str, blocks: int, *arguments: Any) -> None:
        """Run ``file.kernel``, compiled when first used and kept by CuPy for later processes."""
        file, _, name = kernel.partition(".")
        known = kernels(file)[name]
        if blocks:  # CUDA refuses a grid of none
            function = _function(file, element_of(known, arguments), name)
            function((blocks,), (THREADS,), tuple(bind(known, arguments)))

    def gemm(self, a: Array, b: Array, out: Array) -> None:
        """Compute ``out[:, :n] = a @ b.T`` by cuBLAS: float16 on the tensor cores, added up and returned in float32."""
        from cupy.cuda.device import get_cublas_handle
        from cupy_backends.cuda.libs import cublas

        m, n, width, pitch = a.shape[0], b.shape[0], a.shape[1], out.shape[1]
        if not m or not n:
            return
        handle = get_cublas_handle()
        mode = cublas.getPointerMode(handle)
        cublas.setPointerMode(handle, cublas.CUBLAS_POINTER_MODE_HOST)
        try:
            # cuBLAS counts along columns: it sees b' (width x n), a' (width x m) and out' (pitch x m).
            cublas.gemmEx(
                handle, cublas.CUBLAS_OP_T, cublas.CUBLAS_OP_N, n, m, width, _ONE.ctypes.data, b.data.ptr, _FLOAT16,
                width, a.data.ptr, _FLOAT16, width, _ZERO.ctypes.data, out.data.ptr, _FLOAT32, pitch,
                cublas.CUBLAS_COMPUTE_32F, cublas.CUBLAS_GEMM_DEFAULT,
            )  # fmt: skip
        finally:
            cublas.setPointerMode(handle, mode)


@functools.cache
def _module(file: str, element: str) -> Any:
    import cupy

    return cupy.RawModule(code=source(file), options=("--std=c++17", f"-DELEMENT={element}"))


@functools.cache
def _function(file: str, element: str, name: str) -> Any:
    return _module(file, element).get_function(name)


def available() -> bool:
    """Return whether there is a GPU that the kernels run on: compute capability 7.5 or more, and CuPy to reach it."""
    try:
        import cupy

        return cupy.cuda.runtime.getDeviceCount() > 0 and (
            int(cupy.cuda.Device().compute_capability) >= LEAST_CAPABILITY
        )
    except (ImportError, RuntimeError):  # CuPy's own errors are RuntimeErrors
        return False


@functools.cache
def current() -> Device:
    """Return the device in use.

    Raises
    ------
    RuntimeError
        There is none that the kernels run on.
    """
    if not available():
        raise RuntimeError(
            'back end "cuda" needs an NVIDIA GPU (Turing or newer), its driver, and CuPy (pip install cupy-cuda13x): '
            'choose backend="cpu"'
        )
    return CupyDevice()


def is_on_device(values: Any) -> bool:
    """Return whether an array is in the memory of a CUDA device."""
    return hasattr(values, "__cuda_array_interface__")


def grid(n: int, rows: int = WARPS) -> int:
    """Return how many blocks take n rows, `rows` each: a warp a row unless said otherwise."""
    return -(-n // rows)
