"""Options that several commands take, and the values that they choose from."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ProfileChoice(StrEnum):
    """The profiles of `meddel.config`."""

    smoke = "smoke"
    laptop = "laptop"
    paper = "paper"


class BackendChoice(StrEnum):
    """Which kernels compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    numba_cuda = "numba-cuda"
    reference = "reference"


class KeepChoice(StrEnum):
    """Which image of a pair of near duplicates stays."""

    near = "near"
    far = "far"
    random = "random"


Out = Annotated[Path, typer.Option(help="Folder for everything that the run writes; call again to go on.")]
Scheduler = Annotated[str | None, typer.Option(help="Dask's scheduler (tcp://node:8786) whose workers share the work.")]
Workers = Annotated[int | None, typer.Option(min=1, help="So many workers on this machine share the work.")]
