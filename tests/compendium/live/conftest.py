"""Somebody who moves sliders, without a browser."""

from __future__ import annotations

import pytest

from compendium import live


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """All that live views display, in order, while somebody attends."""
    seen: list[object] = []
    monkeypatch.setattr(live, "attended", lambda: True)
    monkeypatch.setattr(live, "display", seen.append)
    return seen
