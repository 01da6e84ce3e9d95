"""Vector instructions: NumPy's sums bit for bit, and the same answers on processors with fewer instructions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core import codegen

from meddel_kernels import pairs
from meddel_kernels.cpu import exact, microkernel
from meddel_kernels.cpu.llvm import FEATURES
from meddel_kernels.cpu.quantize import pack


@pytest.mark.parametrize("d", [*range(1, 18), 127, 128, 129, 136, 255, 256, 257, 500, 768, 1000, 2049])
def test_exact_numbers_are_those_of_numpy_bit_for_bit(d: int) -> None:
    rng = np.random.default_rng(d)
    cuts, stack = exact.plan(d), np.empty(exact.DEPTH)
    for kind in (np.float32, np.float64):
        a, b = rng.normal(size=(20, d)).astype(kind), rng.normal(size=(20, d))
        squares = pairs.squared_differences(a.astype(np.float64), b)
        products = pairs.products(a.astype(np.float64), b)
        assert [exact.total(a, i, b, i, cuts, stack, True) for i in range(20)] == squares.tolist()
        assert [exact.total(a, i, b, i, cuts, stack, False) for i in range(20)] == products.tolist()


@pytest.mark.parametrize("d", [4, 64, 1024, 1536])
def test_multiply_multiplies_whole_numbers(d: int) -> None:
    rng = np.random.default_rng(d)
    a, b = (rng.choice([-127, -126, 0, 126, 127], size=(count, d)).astype(np.int8) for count in (20 + 6, 70))
    out = np.empty((24, 128), np.int32)
    microkernel.multiply(a, 1, 20, pack(b), 0, 2, out)
    whole = a[1:20].astype(np.int64)
    expected = whole @ b.T.astype(np.int64) + 128 * whole.sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(out[:19, :70], expected)


REPOSITORY = Path(__file__).resolve().parents[3]


ANSWERS = """
import numpy as np
from meddel_kernels import kmeans, near_duplicates, row_max_cosine
from meddel_kernels.cpu import microkernel
from tests.kernels.kernel_cases import embeddings, ragged

print(microkernel.INSTRUCTION)
x, batch = embeddings(900, 130, seed=1), ragged(900, 4, seed=2)
answers = [
    [*kmeans(x, 20, backend=name), *kmeans(x, 180, backend=name), *row_max_cosine(x, *batch, backend=name),
     near_duplicates(x, *batch, 0.99, backend=name)]
    for name in ("cpu", "reference")
]
for ours, theirs in zip(*answers, strict=True):
    np.testing.assert_array_equal(ours, theirs)
"""


ASSEMBLY = """
from types import SimpleNamespace

import llvmlite.binding as binding
from llvmlite import ir
from meddel_kernels.cpu import microkernel

binding.initialize_all_targets()
binding.initialize_all_asmprinters()
module, word = ir.Module(), ir.IntType(64)
module.triple = "aarch64-unknown-linux-gnu"
function = ir.Function(module, ir.FunctionType(ir.VoidType(), [word] * 6), "tile")
builder = ir.IRBuilder(function.append_basic_block())
microkernel.stripe_code(SimpleNamespace(get_dummy_value=lambda: None), builder, None, function.args)
builder.ret_void()
machine = binding.Target.from_triple(module.triple).create_target_machine(features=FEATURES)
print(machine.emit_assembly(binding.parse_assembly(str(module))))
"""


def python(code: str, features: str) -> str:
    """Run code in a process that compiles for other features; return what it prints."""
    environment = {**os.environ, "NUMBA_CPU_FEATURES": features}
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("needed", "without", "instruction"),
    [
        pytest.param("avxvnni", ("avx512", "avx10", "evex512"), "vpdpbusd.256", id="AVX-VNNI, as in laptops"),
        pytest.param("avx2", ("avx512", "avx10", "evex512", "avxvnni"), "avx2.pmadd.wd", id="AVX2 alone"),
        pytest.param(
            "sse2", ("avx", "fma", "f16c", "vaes", "vpclmul", "evex512", "xop"), "sse2.pmadd.wd", id="neither"
        ),
    ],
)
def test_the_same_answers_with_fewer_instructions(needed: str, without: tuple[str, ...], instruction: str) -> None:
    if needed not in FEATURES:
        pytest.skip(f"this processor has no {needed}")
    features = [
        "-" + name[1:] if name.startswith("+") and name[1:].startswith(without) else name
        for name in codegen.get_host_cpu_features().split(",")
    ]
    assert python(ANSWERS, ",".join(features)).strip().endswith(instruction)


@pytest.mark.parametrize(("features", "instruction"), [("+neon,+i8mm", "usdot\t"), ("+neon", "mla\t")])
def test_the_product_compiles_for_arm(features: str, instruction: str) -> None:
    assembly = python(ASSEMBLY.replace("FEATURES", repr(features)), features)
    assert assembly.count(instruction) == (24 if "i8mm" in features else 48)
