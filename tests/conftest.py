"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real images with masks, where there is one."""
    folder = Path(os.environ.get("MEDDEL_REALDATA", REPOSITORY.parent / "shared" / "realdata"))
    if not folder.is_dir():
        pytest.skip("no real images: set MEDDEL_REALDATA to the folder that holds kvasir_seg and the others")
    return folder
