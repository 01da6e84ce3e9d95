"""Fixtures that several test files share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from compendium import cli
from meddel import encoder
from meddel.config import EncoderConfig
from tests.faults.record import Recorder

REPOSITORY = Path(__file__).resolve().parents[1]
TINY = EncoderConfig(image_size=32, patch_size=8, width=24, depth=1, heads=2)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the fault tests."""
    parser.addoption("--fuzz-examples", type=int, default=0, help="examples for each fuzz test; 0: a few")
    parser.addoption("--record-faults", type=Path, help="folder of the record of the faults that this run survives")


def pytest_configure(config: pytest.Config) -> None:
    """Let tests interrupt: what a shell starts in the background ignores the signal, and so would its children."""
    config.addinivalue_line(
        "markers", "fault(kind, what): a fault that the record counts once for each test that passes"
    )
    folder = config.getoption("--record-faults")
    if folder is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(folder))
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def survived(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Note what a test has survived, for the record: the kind of fault, what it struck, and how often."""

    def note(kind: str, what: str, times: int = 1) -> None:
        request.node.user_properties.append(("fault", [kind, what, times]))

    return note


@pytest.fixture(autouse=True)
def _marked(request: pytest.FixtureRequest) -> None:
    """Note the fault that a test is marked with."""
    mark = request.node.get_closest_marker("fault")
    if mark is not None:
        request.node.user_properties.append(("fault", [*mark.args, 1]))


class Done(NamedTuple):
    """What a command ended with: exit code and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real images with masks, where there is one."""
    folder = Path(os.environ.get("MEDDEL_REALDATA", REPOSITORY.parent / "shared" / "realdata"))
    if not folder.is_dir():
        pytest.skip("no real images: set MEDDEL_REALDATA to the folder that holds kvasir_seg and the others")
    return folder


@pytest.fixture
def meddel(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command line with the given arguments, in this process, without progress bars."""
    monkeypatch.setenv("MEDDEL_PROGRESS", "0")

    def call(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["meddel", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Done(ended.value.code or 0, said.out, said.err)

    return call


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a tiny encoder with random weights, as `meddel embed --weights` takes them."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    encoder.save(encoder.build(TINY, seed=0), TINY, path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of twelve pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        coarse = np.random.default_rng(number).integers(0, 256, (5, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((48, 40), Image.Resampling.BICUBIC).save(folder / f"p{number:02d}.png")
    return folder
