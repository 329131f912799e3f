"""How the settings split a stack's Redis."""

from __future__ import annotations

from typing import Any

import pytest

from keelson.errors import SettingsError
from keelson.settings.stack import StackSettings


def _read(redis: object) -> StackSettings:
    values: dict[str, Any] = {"environment": "dev", "target": "local", "redis": redis}
    return StackSettings.read(values, "Pulumi.dev.yaml", "keelson:")


def test_one_holds_all_three_databases() -> None:
    assert {name: part.databases for name, part in StackSettings(environment="dev", target="local").redis.items()} == {
        "redis": {"general": 0, "cache": 1, "sessions": 2}
    }


def test_several_hold_a_database_of_their_name_each_on_ports_of_their_own() -> None:
    parts = _read({"cache": {}, "sessions": {"maxmemory_policy": "noeviction"}}).redis
    assert {name: (part.databases, part.preferred_port) for name, part in parts.items()} == {
        "cache": ({"cache": 0}, 6379),
        "sessions": ({"sessions": 0}, 6380),
    }


def test_what_the_settings_say_goes_first() -> None:
    parts = _read({"cache": {"databases": {"pages": 4}, "preferred_port": 7000}, "sessions": {}}).redis
    assert (parts["cache"].databases, parts["cache"].preferred_port) == ({"pages": 4}, 7000)


def test_a_typo_among_several_is_named() -> None:
    with pytest.raises(SettingsError, match=r"keelson:redis\.cache\.maxmemry"):
        _read({"cache": {"maxmemry": "1mb"}, "sessions": {}})
    with pytest.raises(SettingsError, match="write keys such as"):
        _read({"cache": "big", "sessions": {}})
