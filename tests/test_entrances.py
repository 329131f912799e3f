"""By what else than its usual name a server is reached: only where the registry knows of it; elsewhere one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from keelson.entrances import Entrance
from keelson.errors import SettingsError
from keelson.inside.target import InsideTarget
from keelson.local.registry import Registry, ServerRecord
from keelson.local.target import LocalTarget

KEY = "keelson-dev"
SENTENCES: dict[Entrance, str] = {
    "replicas": "server plain of stack keelson-dev has no replicas; set 'keelson:servers.plain.ha'",
    "pooler": "server plain of stack keelson-dev has no pooler; set 'keelson:servers.plain.pooler'",
}


@pytest.fixture(autouse=True)
def _servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    registry = Registry(KEY)
    registry.record("0", ServerRecord("plain", 5432))
    registry.record("0", ServerRecord("main", 5432, host="main-rw", readonly_host="main-ro", pooler_host="main-pooler"))


@pytest.mark.parametrize("entrance", ["replicas", "pooler"])
@pytest.mark.parametrize("place", [LocalTarget(), InsideTarget()])
def test_a_server_without_it_is_refused_with_what_to_do(place: LocalTarget | InsideTarget, entrance: Entrance) -> None:
    with pytest.raises(SettingsError) as fault:
        place.locate(KEY, "plain", entrance)
    assert str(fault.value).startswith(SENTENCES[entrance])


@pytest.mark.parametrize(
    ("entrance", "host"), [("primary", "main-rw"), ("replicas", "main-ro"), ("pooler", "main-pooler")]
)
def test_inside_it_is_another_name_on_the_network(entrance: Entrance, host: str) -> None:
    assert InsideTarget().locate_inside(KEY, "main", entrance).host == host
