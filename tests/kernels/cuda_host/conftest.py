"""What the CUDA back end is tested on: a CPU that runs the kernels' source, and a GPU where there is one."""

from __future__ import annotations

import pytest

from meddel_kernels.cuda import device as gpu
from tests.kernels.cuda_host.emulation import HostDevice, missing


@pytest.fixture(params=["on this CPU", "on a GPU"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> gpu.Device:
    if request.param == "on a GPU":
        if not gpu.available():
            pytest.skip("there is no NVIDIA GPU that the kernels run on")
        return gpu.current()
    return emulated(monkeypatch)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> HostDevice:
    return emulated(monkeypatch)


def emulated(monkeypatch: pytest.MonkeyPatch) -> HostDevice:
    reason = missing()
    if reason:
        pytest.skip(reason)
    device = HostDevice()
    monkeypatch.setattr(gpu, "current", lambda: device)
    return device
