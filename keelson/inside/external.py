"""Passwords that came from a store outside: kept like those that the user chose, with a note by which a change of theirs is seen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from keelson import paths
from keelson.containers import digest
from keelson.local.registry import Registry

FILE = "external.json"


def take_external(key: str, logins: Mapping[str, list[str]], passwords: Mapping[str, str]) -> str:
    """Keep the passwords of logins on their servers, and return what is another one when one of them is.

    Args:
        key: the stack's key.
        logins: the servers of each login.
        passwords: by login.
    """
    registry = Registry(key)
    for login, servers in logins.items():
        for server in servers:
            registry.set_password(server, login, passwords[login])
    salted = digest.beside(passwords, external(key).get("salted", ""))
    note = {"logins": dict(logins), "salted": salted}
    paths.write_private(registry.directory / FILE, json.dumps(note) + "\n")
    return digest.told(salted)


def external(key: str) -> dict[str, Any]:
    """Return the note: `logins` with their servers, and `salted`; empty where nothing came from outside."""
    path = Registry(key).directory / FILE
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def forget_external(key: str) -> None:
    """Drop the note; the passwords stay as they are."""
    (Registry(key).directory / FILE).unlink(missing_ok=True)
