"""Which of each service's two logins is in use, beside the registry: `turns.json`, `<server>/<service>` → a `Turn`.

A password is kept before it is handed out: whoever reads the turn, and then the password, has one that the server takes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from keelson import paths
from keelson.errors import PlatformError
from keelson.local.locks import exclusive
from keelson.local.registry import Registry
from keelson.rotation import Turn, in_use

FILE = "turns.json"


def turn(key: str, server: str, service: str) -> Turn:
    """Return how far the logins of a service have come; the first turn where nothing is written down."""
    return Turn(**_read(key).get(f"{server}/{service}", {}))


def hand_out(key: str, server: str, service: str, generation: int, passwords: Mapping[str, str]) -> Turn:
    """Keep the new passwords of logins that the server has already, and say that a generation is in use."""
    registry = Registry(key)
    for login, password in passwords.items():
        registry.set_password(server, login, password)
    with exclusive(registry.directory / "turns.lock"):
        before = turn(key, server, service)
        again = before.generation == generation and before.since and not passwords
        since = before.since if again else datetime.now(UTC).isoformat(timespec="seconds")
        made = {**before.made, **dict.fromkeys(in_use(service, generation), generation)}
        after = Turn(generation, since, made)
        if after != before:
            every = {**_read(key), f"{server}/{service}": asdict(after)}
            paths.write_private(registry.directory / FILE, json.dumps(every, indent=2) + "\n")
        return after


def _read(key: str) -> dict[str, Any]:
    path = Registry(key).directory / FILE
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as fault:
        msg = f"cannot read {path}: {fault}; restore it from a backup, or remove it and run `keelson rotate`"
        raise PlatformError(msg) from None
    return found
