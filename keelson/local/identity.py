"""A stack's entry on this machine: its random id, under its key."""

from __future__ import annotations

import secrets

from keelson import paths
from keelson.local.registry import Registry, directory

ID_BYTES = 6


def register(key: str, environment: str) -> str:
    """Return the id of the stack `key`, made up first where there is none.

    An entry that a killed run left is recognised: it has the same key.
    """
    paths.private_directory(directory(key))
    registry = Registry(key)
    known = registry.stack()
    stack_id = known.stack_id if known else secrets.token_hex(ID_BYTES)
    registry.claim(stack_id, environment=environment)
    return stack_id
