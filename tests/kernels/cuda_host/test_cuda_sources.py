"""The CUDA sources compile for three generations of GPUs, need no headers of others, and are launched as declared."""

from __future__ import annotations

import importlib.util
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from meddel_kernels.cuda import device as gpu
from tests.kernels.cuda_host.emulation import HostDevice

FOLDER = Path(gpu.__file__).parent
FILES = sorted(path.stem for path in FOLDER.glob("*.cu"))
SPILLED = 128  # bytes at most: a few numbers put aside once, outside the products


def compiled(file: str, architecture: str, element: str) -> str:
    """Compile a file to a cubin and return what the compiler says."""
    if sys.platform != "linux" or importlib.util.find_spec("cuda.core") is None:
        pytest.skip("NVRTC by way of cuda-core is installed on Linux only")
    from cuda.core import Program, ProgramOptions

    said = io.StringIO()
    options = ProgramOptions(
        arch=architecture,
        std="c++17",
        define_macro=("ELEMENT", element),
        ptxas_options="-v",
        no_display_error_number=True,
    )
    assert Program(gpu.source(file), "c++", options).compile("cubin", logs=said).code
    return said.getvalue()


@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90a"])
@pytest.mark.parametrize("file", FILES)
def test_every_source_compiles(file: str, architecture: str) -> None:
    said = compiled(file, architecture, "float")
    assert "warning" not in said
    spilled = [int(size) for size in re.findall(r"(\d+) bytes spill stores", said)]
    assert len(spilled) == len(gpu.kernels(file)) and max(spilled) <= SPILLED


@pytest.mark.parametrize("element", ["half_bits", "double"])
@pytest.mark.parametrize("file", [file for file in FILES if "ELEMENT*" in str(gpu.kernels(file))])
def test_every_type_of_matrix_compiles(file: str, element: str) -> None:
    assert "warning" not in compiled(file, "sm_80", element)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.cu*")), ids=lambda path: path.name)
def test_sources_need_no_header_of_others_and_say_what_they_do(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert all((FOLDER / name).is_file() for name in re.findall(r'#include [<"](.*)[>"]', text))
    assert max(len(line) for line in text.splitlines()) <= 120 and text.count("\n") <= 300
    if path.suffix == ".cu":
        head = text.partition("#include")[0]
        assert all(word in head for word in ("Formula.", "Shapes.", "Bytes moved")), "the head comment lacks a part"
        assert gpu.kernels(path.stem)


def test_arguments_are_what_the_source_declares(host: HostDevice) -> None:
    numbers, whole = host.full((4, 3), 0, np.float32), host.full(4, 0, np.int64)
    out = host.full((4, 3), 0, np.float64)
    host.launch("take.take", 1, numbers, whole, 4, 3, out)
    with pytest.raises(TypeError, match=r"argument 1 of take must be long long\*, not int32"):
        host.launch("take.take", 1, numbers, host.full(4, 0, np.int32), 4, 3, out)
    with pytest.raises(TypeError, match="takes 5 arguments, not 4"):
        host.launch("take.take", 1, numbers, whole, 4, 3)
    with pytest.raises(TypeError, match="gaps"):
        host.launch("take.take", 1, numbers[:, :2], whole, 4, 2, out)


def test_without_a_gpu_one_line_says_what_to_do() -> None:
    """In a process of its own, where CuPy can't be imported at all."""
    code = (
        "import sys; sys.modules['cupy'] = None\n"
        "from meddel_kernels import cuda\n"
        "import numpy as np\n"
        "print(cuda.available())\n"
        "cuda.rows(np.ones((2, 2)), 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n"
    assert done.stderr.splitlines()[-1].startswith('RuntimeError: back end "cuda" needs an NVIDIA GPU')
    assert 'choose backend="cpu"' in done.stderr.splitlines()[-1]
