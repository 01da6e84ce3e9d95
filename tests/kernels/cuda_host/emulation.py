"""A `Device` on the CPU: the kernels' own source, compiled by g++ behind ``host.hpp``, and guarded memory."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from meddel_kernels.cuda.device import THREADS, bind, element_of, kernels, source

FOLDER = Path(__file__).parent
CACHE = Path(tempfile.gettempdir()) / f"meddel-cuda-host-{os.getuid() if hasattr(os, 'getuid') else 0}"
FLAGS = ["-std=c++17", "-O2", "-fPIC", "-shared", "-ffp-contract=off", "-U_FORTIFY_SOURCE", "-w"]
GARBAGE = 0xA5

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def missing() -> str | None:
    """Return why kernels can't run on this CPU; None where they can."""
    if sys.platform != "linux":
        return "the kernels run on the CPU on Linux only"
    return None if shutil.which("g++") else "there is no C++ compiler (g++) to run the kernels on the CPU"


class HostArray(np.ndarray):
    """An array in the emulated device's memory. Like a CUDA array it says so."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.__array_interface__


class HostDevice:
    """The emulated device.

    Parameters
    ----------
    order : int
        In which order the threads of a block run: 0 straight, 1 reversed, 2 and more shuffled.
    free : int
        Bytes of memory it says it has.
    """

    def __init__(self, order: int = 0, free: int = 1 << 32) -> None:
        self.order, self.free = order, free
        self.launched: list[str] = []
        self._rng = np.random.default_rng(order)

    def memory(self) -> int:
        return self.free

    def upload(self, values: Any) -> HostArray:
        if isinstance(values, HostArray) and values.flags.c_contiguous:
            return values
        values = np.ascontiguousarray(values)
        array = guarded(values.shape, values.dtype)
        array[...] = values
        return array

    def full(self, shape: int | tuple[int, ...], value: float, dtype: type) -> HostArray:
        array = self.empty(shape, dtype)
        array[...] = value
        return array

    def empty(self, shape: int | tuple[int, ...], dtype: type) -> HostArray:
        return guarded(shape if isinstance(shape, tuple) else (shape,), np.dtype(dtype))

    def download(self, array: HostArray) -> np.ndarray:
        return np.array(array)

    def launch(self, kernel: str, blocks: int, *arguments: Any) -> None:
        file, _, name = kernel.partition(".")
        known = kernels(file)[name]
        bound = bind(known, arguments)
        for value in bound:
            if isinstance(value, np.ndarray) and not isinstance(value, HostArray):
                raise TypeError(f"an argument of {kernel} lies on the host")
        places = [
            ctypes.c_void_p(value.ctypes.data) if isinstance(value, np.ndarray) else np.array(value) for value in bound
        ]
        pointers = [
            ctypes.addressof(place) if isinstance(place, ctypes.c_void_p) else place.ctypes.data for place in places
        ]
        self.launched.append(kernel)
        function = getattr(library(file, element_of(known, arguments)), f"launch_{name}")
        function.restype = ctypes.c_char_p
        said = function(blocks, THREADS, self.order, (ctypes.c_void_p * len(pointers))(*pointers))
        if said:
            raise RuntimeError(f"{kernel}: {said.decode()}")

    def gemm(self, a: HostArray, b: HostArray, out: HostArray) -> None:
        """Multiply, and err in every entry, either way, by most of what ``scores.cuh`` allows for."""
        assert a.dtype == b.dtype == np.float16 and out.dtype == np.float32
        assert all(array.flags.c_contiguous for array in (a, b, out)) and out.shape[1] % 8 == a.shape[1] % 64 == 0
        left, right = np.array(a, np.float64), np.array(b, np.float64)
        lengths = np.outer(np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1))
        error = self._rng.choice([-1.0, 1.0], lengths.shape) * lengths * (a.shape[1] * 0.95 * 2.0**-22)
        out[:, : len(b)] = left @ right.T + error


def guarded(shape: tuple[int, ...], dtype: np.dtype) -> HostArray:
    """Return an array of garbage that ends where its last page ends: whoever reads or writes behind it is stopped."""
    size = int(np.prod(shape)) * dtype.itemsize
    held = -(-max(size, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, held + mmap.PAGESIZE)
    start = held - -(-size // 16) * 16  # arrays on a GPU begin at multiples of 256, and vectors need 16
    whole = np.frombuffer(memory, np.uint8)
    whole[:held] = GARBAGE
    _libc.mprotect(ctypes.c_void_p(whole.ctypes.data + held), ctypes.c_size_t(mmap.PAGESIZE), 0)
    return whole[start : start + size].view(dtype).reshape(shape).view(HostArray)


@functools.cache
def library(file: str, element: str) -> ctypes.CDLL:
    """Return the compiled kernels of a file, for one type of matrix; kept between runs by what they are made of."""
    text = f'#include "{FOLDER / "host.hpp"}"\n#define ELEMENT {element}\n'
    text += source(file, {"instructions.cuh": (FOLDER / "instructions.cuh").read_text()})
    text += "".join(f"\nLAUNCH({name})" for name in kernels(file)) + "\n"
    key = hashlib.sha256((text + (FOLDER / "host.hpp").read_text() + str(FLAGS)).encode()).hexdigest()[:24]
    built = CACHE / f"{file}-{element}-{key}.so"
    if not built.exists():
        CACHE.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            (Path(folder) / "kernels.cpp").write_text(text)
            made = Path(folder) / "kernels.so"
            subprocess.run(["g++", *FLAGS, "-o", made, Path(folder) / "kernels.cpp"], check=True)
            made.rename(built)
    return ctypes.CDLL(str(built))
