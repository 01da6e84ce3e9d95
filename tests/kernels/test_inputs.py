"""What the kernels accept as a matrix, what they copy, what they import for it, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import meddel_kernels
from meddel_kernels import inputs

X = np.random.default_rng(0).normal(size=(60, 12)).astype(np.float32)


class OnlyArray:
    """Something that NumPy can read by ``__array__`` alone."""

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        return X


class Unwilling:
    """Something that NumPy can't read, and that says so at length."""

    def __array__(self) -> np.ndarray:
        raise RuntimeError("no\nbecause of this\nand that")


class OnlyDLPack:
    """Something that offers DLPack alone, on the CPU or, as it says, on a GPU."""

    def __init__(self, device: int = 1) -> None:
        self.device = device

    def __dlpack__(self, **options: object) -> object:
        return X.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0


class OnGPU:
    """An array that says it lies on a GPU, where only CuPy can read it."""

    @property
    def __cuda_array_interface__(self) -> dict:
        return {"shape": (60, 12), "typestr": "<f4", "data": (0, False), "version": 3}

    def __array__(self) -> np.ndarray:
        raise TypeError("implicit conversion")


class GradientOnGPU(OnGPU):
    """A tensor of torch on a GPU, which hides where it lies until it is detached."""

    __module__ = "torch"
    dtype, is_cuda, requires_grad = "torch.float32", True, True

    def detach(self) -> GradientOnGPU:
        other = GradientOnGPU()
        other.requires_grad = False
        return other

    @property
    def __cuda_array_interface__(self) -> dict:
        if self.requires_grad:
            raise RuntimeError("use var.detach()")
        return super().__cuda_array_interface__

    def numpy(self, *, force: bool) -> np.ndarray:
        return X if force else None


class CuPyArray:
    """What CuPy would make of it, with the numbers on the host: the checks ask for no more."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.ndim, self.shape, self.dtype = values, values.ndim, values.shape, values.dtype

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self.values[rows]

    def get(self) -> np.ndarray:
        return self.values


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(asarray=lambda _: CuPyArray(X), from_dlpack=lambda _: CuPyArray(X))
    monkeypatch.setitem(sys.modules, "cupy", fake)


def memory_map(folder: Path) -> np.memmap:
    np.save(folder / "x.npy", X)
    return np.load(folder / "x.npy", mmap_mode="r")


@pytest.mark.parametrize("kind", ["array", "read only", "memory map", "torch", "gradient", "__array__", "DLPack"])
def test_no_number_is_copied(kind: str, tmp_path: Path) -> None:
    frozen = X.view()
    frozen.flags.writeable = False
    tensor = torch.from_numpy(X)
    mapped = memory_map(tmp_path)
    given, memory = {
        "array": (X, X),
        "read only": (frozen, X),
        "memory map": (mapped, mapped),
        "torch": (tensor, X),
        "gradient": (tensor.detach().requires_grad_(), X),
        "__array__": (OnlyArray(), X),
        "DLPack": (OnlyDLPack(), X),
    }[kind]
    taken = inputs.matrix(given, "x")
    assert np.shares_memory(taken, memory)
    np.testing.assert_array_equal(taken, X)
    assert type(taken) is np.ndarray or kind in ("memory map",)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_the_answer_does_not_depend_on_where_the_rows_lie(backend: str, tmp_path: Path) -> None:
    wide = np.zeros((120, 24), np.float32)
    wide[::2, 1::2] = X
    swapped = torch.from_numpy(X.T.copy()).T
    others = [np.asfortranarray(X), wide[::2, 1::2], X[::-1][::-1], memory_map(tmp_path), X.astype(np.float64), swapped]
    others += [X.tolist(), pd.DataFrame(X), torch.nn.Parameter(torch.from_numpy(X)), OnlyDLPack()]
    expected = meddel_kernels.kmeans(X, 5, seed=1, backend=backend)
    for other in others:
        result = meddel_kernels.kmeans(other, 5, seed=1, backend=backend)
        assert result.centroids.tobytes() == expected.centroids.tobytes()


def test_half_floats_are_taken_as_they_are_and_bfloat16_as_float32() -> None:
    half = torch.from_numpy(X).half()
    assert inputs.matrix(half, "x").dtype == np.float16
    assert np.shares_memory(inputs.matrix(half, "x"), half.numpy())
    brain = torch.from_numpy(X).bfloat16()
    for tensor in (brain, brain.clone().requires_grad_(), brain.T.contiguous().T):
        taken = inputs.matrix(tensor, "x")
        assert taken.dtype == np.float32
        assert torch.equal(torch.from_numpy(taken).bfloat16(), brain)
        assert (np.ascontiguousarray(taken).view(np.uint32) & 0xFFFF == 0).all()  # nothing but a bfloat16 in each
    assert torch.double == torch.from_numpy(inputs.matrix(torch.from_numpy(X).double(), "x")).dtype


def test_bfloat16_of_numpy_is_taken_as_float32() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    brain = X.astype(ml_dtypes.bfloat16)
    taken = inputs.matrix(brain[:, ::2], "x")
    assert taken.dtype == np.float32
    np.testing.assert_array_equal(taken, brain[:, ::2].astype(np.float32))


@pytest.mark.parametrize("given", [OnGPU(), GradientOnGPU(), OnlyDLPack(2), OnlyDLPack(13)])
@pytest.mark.usefixtures("cupy")
def test_rows_on_a_gpu_stay_there_for_cuda_alone(given: object) -> None:
    assert isinstance(inputs.matrix(given, "x", "cuda"), CuPyArray)
    for backend in ("reference", "cpu", "auto", "numba-cuda"):
        taken = inputs.matrix(given, "x", backend)
        assert type(taken) is np.ndarray
        np.testing.assert_array_equal(taken, X)


def test_every_call_takes_what_one_takes() -> None:
    x, unit = (
        torch.from_numpy(X).bfloat16().requires_grad_(),
        meddel_kernels.unit_rows(torch.from_numpy(X).bfloat16().float().numpy()),
    )
    np.testing.assert_array_equal(meddel_kernels.unit_rows(x), unit)
    plain = inputs.matrix(x, "x")
    weights, order = torch.ones(60), torch.randperm(60)
    cuts, on = np.array([0, 60]), {"backend": "reference"}
    calls = {
        "assign": lambda x: meddel_kernels.assign(x, x[:3], **on),
        "kmeans": lambda x: meddel_kernels.kmeans(x, 3, start=x[:3], weights=weights, **on),
        "spherical": lambda x: meddel_kernels.kmeans(x, 3, spherical=True, **on),
        "plus plus": lambda x: [meddel_kernels.kmeans_plus_plus(x, 3, seed=0, weights=weights, **on)],
        "parallel": lambda x: [meddel_kernels.kmeans_parallel(x, 3, seed=0, **on)],
        "update": lambda x: [meddel_kernels.update(x, order % 3, 4, previous=x[:4], **on)],
        "farthest": lambda x: meddel_kernels.farthest_point(x, 5, **on),
        "kept": lambda x: meddel_kernels.nearest_kept(x, order[:4], **on),
        "row max": lambda x: meddel_kernels.row_max_cosine(x, np.arange(60), cuts, **on),
    }
    for name, call in calls.items():
        for ours, theirs in zip(call(x), call(plain), strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_neither_torch_nor_cupy_is_imported_for_numpy() -> None:
    code = (
        "import sys, numpy, meddel_kernels as k\n"
        "k.kmeans(numpy.eye(3), 2, backend='reference')\n"
        "print(sorted({'torch', 'cupy'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("dtype", "bad"),
    [(dtype, bad) for dtype in (np.float16, np.float32, np.float64) for bad in (np.nan, np.inf, -np.inf)]
    + [(np.float64, 1.1e150), (np.float64, -1.1e150)],
)
def test_a_value_too_many_is_found_wherever_it_is(dtype: type, bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "CACHE", 100)  # several blocks
    for row, column in ((0, 0), (31, 5), (59, 11)):
        for x in (X.astype(dtype), np.asfortranarray(X.astype(dtype)), np.repeat(X.astype(dtype), 2, axis=1)[:, ::2]):
            assert inputs.matrix(x, "x") is x
            x[row, column] = bad
            for threads in (1, 3):
                with pytest.raises(ValueError, match=rf"x holds NaN, infinity or a value beyond 1e\+150 in row {row}$"):
                    inputs.matrix(x, "x", threads=threads)
    most = np.finfo(np.float16).max if dtype == np.float16 else 1e150 if dtype == np.float64 else 3.4e38
    assert inputs.matrix(np.array([[most, -most, 0.0]], dtype), "x")[0, 0] == dtype(most)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (X[0], "x must be a float16, bfloat16, float32 or float64 matrix .* not float32 of shape"),
        (X[:, :0], r"rows and columns, not float32 of shape \(60, 0\)"),
        (X.astype(int), "not int64"),
        (X.astype(complex), "not complex128"),
        (X.astype(">f4"), "not >f4"),
        (X.astype(np.longdouble), "not (float128|longdouble|float96)"),
        (torch.ones(3, 2, dtype=torch.int32), "not int32"),
        (torch.ones(3, 2).to_sparse(), "x, a Tensor, can't be read as an array: "),
        (torch.ones(3, 2, device="meta"), "x, a Tensor, can't be read as an array: "),
        ([[1.0], [2.0, 3.0]], "x, a list, can't be read as an array: "),
        (Unwilling(), "x, a Unwilling, can't be read as an array: no$"),
        (None, r"not object of shape \(\)"),
        ("rows", "not <U4"),
        (np.ma.masked_greater(X, 1), "x has masked values"),
    ],
)  # fmt: skip
def test_what_is_no_matrix_is_refused_in_one_line(given: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        inputs.matrix(given, "x")
    assert "\n" not in str(caught.value)


def test_a_gpu_array_where_there_is_no_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ValueError, match="x, a OnGPU, can't be read as an array: import of cupy halted"):
        inputs.matrix(OnGPU(), "x")
