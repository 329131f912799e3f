"""How long answers are waited for."""

from __future__ import annotations

import os

import pytest

from keelson.status.looking import deadline


@pytest.mark.parametrize(("load", "times"), [(0.0, 1), (1.0, 1), (2.0, 2), (100.0, 4)])
@pytest.mark.parametrize("kind", ["local", "kubernetes"])
def test_a_busy_machine_gets_more_time_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, load: float, times: int, kind: str
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 9.0, 9.0))
    usual = deadline(kind)
    monkeypatch.setattr(os, "getloadavg", lambda: (load * 8, 0.0, 0.0))
    assert deadline(kind) == pytest.approx(usual * times)
