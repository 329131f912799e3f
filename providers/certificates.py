"""Certificates among a resource's outputs: a preview, which asks nobody, knows from them when one is renewed.

`certificate` has `of`, `ends` and `renewal` of the one that is renewed first, as `keelson.local.tls.first_due` gives them. The output
is empty where a part has none, and missing in the state of a release that wrote none: then the next update writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from keelson.containers import state as stored
from providers import values
from providers.base import Bag

RELYING = frozenset({"server", "cluster", "pgadmin", "postgres-exporter"})  # kinds whose files have certificates
ENCRYPTED = frozenset({"redis", "redis-exporter"})  # kinds whose files have some where their settings say so
OUTPUT = "certificate"


def encrypted(kind: str, settings: Mapping[str, Any]) -> bool:
    """Say whether a part is a Redis that speaks TLS, or asks one."""
    return kind in ENCRYPTED and bool(settings.get("tls"))


def relies(kind: str, settings: Mapping[str, Any]) -> bool:
    """Say whether the files of a part that is a container have certificates."""
    return kind in RELYING or encrypted(kind, settings)


def of_part(place: str, key: str, name: str, kind: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the output of a part that is a container; empty where its files have no certificate."""
    if not relies(kind, settings):
        return {}
    found: dict[str, str] = stored.ask(place, key, "first_due", server=name)
    return found


def of_authority(place: str, key: str) -> dict[str, str]:
    """Return the output of what is given the authority's certificate alone."""
    found: dict[str, str] = stored.ask(place, key, "first_due")
    return found


def of_logins(place: str, key: str, server: str) -> dict[str, str]:
    """Return the output of what is given the certificate of a server's login beside the authority's."""
    found: dict[str, str] = stored.ask(place, key, "first_due", server=server)
    return found


def due(name: str, state: Bag, now: datetime | None = None) -> bool:
    """Say whether an update renews what `name` has, by the time alone, and tell the user of it; asks nobody."""
    known: Any = values.plain(state.get(OUTPUT))
    if known is None:
        return True
    if not known or (now or datetime.now(UTC)) <= datetime.fromisoformat(known["renewal"]):
        return False
    whose = name if known["of"] == name else f"the stack's {known['of']}"
    end = datetime.fromisoformat(known["ends"])
    print(  # noqa: T201 - the engine shows what a provider prints
        f"{name}: the certificate of {whose} ends on {end:%Y-%m-%d}, and is renewed by a reload; sessions live on",
        flush=True,
    )
    return True
