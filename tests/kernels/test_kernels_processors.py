"""Processors with fewer instructions than this one: compiled for them, the kernels give the same answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core import codegen

from meddel_kernels.cpu.processor import FEATURES

REPOSITORY = Path(__file__).resolve().parents[2]

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

import llvmlite.binding as llvm
from llvmlite import ir
from meddel_kernels.cpu import microkernel

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
module, word = ir.Module(), ir.IntType(64)
module.triple = "aarch64-unknown-linux-gnu"
function = ir.Function(module, ir.FunctionType(ir.VoidType(), [word] * 6), "tile")
builder = ir.IRBuilder(function.append_basic_block())
microkernel._tile_code(SimpleNamespace(get_dummy_value=lambda: None), builder, None, function.args)
builder.ret_void()
machine = llvm.Target.from_triple(module.triple).create_target_machine(features=FEATURES)
print(machine.emit_assembly(llvm.parse_assembly(str(module))))
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
