"""The back end numba-cuda: its cases in the simulator and, if there is one, on a GPU; and the code it compiles to."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numba import cuda, types
from numba.cuda import dispatcher

from meddel_kernels import numba_cuda
from meddel_kernels.numba_cuda import device

REPOSITORY = Path(__file__).resolve().parents[2]

ROWS, LABELS, NUMBERS = types.float64[:, ::1], types.int32[::1], types.float64[::1]
WHOLE, PAIRS, SCALE = types.int64[::1], types.int64[:, ::1], types.float64
KERNELS = {
    "distances.squares": (ROWS, ROWS, LABELS, PAIRS, NUMBERS),
    "distances.min_distance": (ROWS, types.int64, PAIRS, NUMBERS),
    "sums.sums": (ROWS, LABELS, NUMBERS, SCALE, PAIRS),
    "assign.assign_plain": (ROWS, ROWS, PAIRS, LABELS),
    "assign.assign_tiled": (ROWS, ROWS, PAIRS, LABELS),
    "row_max.row_max_plain": (ROWS, WHOLE, PAIRS, NUMBERS, WHOLE),
    "row_max.row_max_tiled": (ROWS, PAIRS, PAIRS, NUMBERS, WHOLE),
    "near_duplicates.near_duplicates_kernel": (ROWS, WHOLE, SCALE, types.boolean, PAIRS, WHOLE),
    "top_neighbours.top_neighbours_kernel": (ROWS, WHOLE, WHOLE, PAIRS, ROWS, PAIRS),
}


def cases(simulated: str) -> None:
    """Run the cases in a process of their own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    arguments = ("-q", "--noconftest", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/kernels/numba_cuda_cases.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=REPOSITORY,
        env={**environment, "NUMBA_ENABLE_CUDASIM": simulated},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_operation_in_the_simulator() -> None:
    cases("1")


@pytest.mark.skipif(not cuda.is_available(), reason="there is no GPU")
def test_every_operation_on_a_gpu() -> None:
    cases("0")


def compiled(name: str, signature: tuple, monkeypatch: pytest.MonkeyPatch) -> str:
    """The PTX of a kernel for compute capability 8.0, without a GPU."""
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: SimpleNamespace(compute_capability=(8, 0)))
    module, kernel = name.split(".")
    function = getattr(importlib.import_module(f"meddel_kernels.numba_cuda.{module}"), kernel).py_func
    try:
        return cuda.compile(function, signature, device=False, abi="numba", cc=(8, 0))[0]
    except (OSError, RuntimeError) as error:
        if "nvvm" in str(error).lower():
            pytest.skip(f"Numba can't compile for CUDA here: {error}")
        raise


@pytest.mark.parametrize("name", KERNELS)
def test_no_product_is_fused_with_a_sum(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mul.rn` stays alone; `mul` without it may be fused later, by the assembler."""
    code = compiled(name, KERNELS[name], monkeypatch)
    assert not re.findall(r"fma\S*\.f64|(?:mul|mad)\.f64", code)
    assert "mul.rn.f64" in code


def test_the_kernels_compiled_are_all_there_are() -> None:
    folder = Path(device.__file__).parent
    found = {
        f"{path.stem}.{name}"
        for path in folder.glob("*.py")
        for name in re.findall(r"^@cuda\.jit\ndef (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found == set(KERNELS)


def test_without_a_gpu_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "SIMULATED", False)
    monkeypatch.setattr(device.cuda, "is_available", lambda: False)
    x, nobody = np.eye(2), np.full(2, -1)
    with pytest.raises(RuntimeError, match=r"^the back end numba-cuda needs an NVIDIA GPU .*NUMBA_ENABLE_CUDASIM=1.*$"):
        numba_cuda.rows(x, 1)
    with pytest.raises(RuntimeError, match="NUMBA_ENABLE_CUDASIM"):
        numba_cuda.near_duplicates(x, np.arange(2), np.array([0, 2]), 0.5, False, nobody, 1, None)
