"""What the processor has, as far as compiled code may use it.

Not what it could do: ``NUMBA_CPU_NAME=generic`` and ``NUMBA_CPU_FEATURES`` tell Numba to compile for less, so that one
cache serves several machines, and an instruction that it was not told of would end the process.
"""

from __future__ import annotations

from numba.core import codegen, config

_GIVEN = config.CPU_FEATURES if config.CPU_FEATURES is not None else codegen.get_host_cpu_features()

FEATURES = frozenset(name[1:] for name in _GIVEN.split(",") if name.startswith("+"))
"""LLVM's names, such as "avx512vnni" or "fma"."""
