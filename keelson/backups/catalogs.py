"""The catalog in a backup: what a drill compares a restored database with, beside its rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from keelson.backups.folder import Folder
from keelson.errors import DamagedError, ServerError
from keelson.postgres.snapshot import Key, Snapshot, read
from keelson.postgres.snapshot.model import form_of_questions

NAME = "catalog.json"
_SEQUENCES = """
    SELECT pg_catalog.format('%I.%I', schemaname, sequencename), last_value, increment_by, cycle
    FROM pg_catalog.pg_sequences WHERE schemaname !~ '^_timescaledb' AND last_value IS NOT NULL ORDER BY 1
"""

Sequences = Mapping[str, Mapping[str, Any]]


def write(connection: psycopg.Connection, roles: Sequence[str], folder: Folder) -> dict[str, Any]:
    """Write the catalog, with `roles` of the server, and return facts of the manifest: none, or why it is not there.

    A backup whose catalog could not be read, as others changed the schema all the while, is a backup all the same.
    """
    try:
        found = read(connection, roles=roles)
    except ServerError as fault:
        return {"catalog_fault": str(fault)}
    values = {
        "form": form_of_questions(),
        "server_version": found.server_version,
        "objects": [[*key, parts] for key, parts in found.objects.items()],
    }
    with folder.create(NAME) as file:
        file.write(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode())
    return {}


def stored(folder: Folder) -> Snapshot | None:
    """Return the catalog of a backup; None where it has none, or one that other questions were asked for.

    Raises:
        DamagedError: it is not as it was written.
    """
    if NAME not in folder.names:
        return None
    blocks = []
    with folder.open(NAME) as file:
        while block := file.read():
            blocks.append(block)
    try:
        values = json.loads(b"".join(blocks))
        if values["form"] != form_of_questions():
            return None
        return Snapshot({Key(kind, name): parts for kind, name, parts in values["objects"]}, values["server_version"])
    except (ValueError, KeyError, TypeError):
        msg = f"{folder.path / NAME} is damaged: it cannot be understood; use another backup"
        raise DamagedError(msg) from None


def sequences(connection: psycopg.Connection) -> dict[str, dict[str, Any]]:
    """Return how far each sequence is that was ever used, by its name, and which way it goes."""
    names = ("last", "step", "cycles")
    return {name: dict(zip(names, rest, strict=True)) for name, *rest in connection.execute(_SEQUENCES).fetchall()}


def sequences_behind(expected: Sequences, found: Sequences) -> list[str]:
    """Return a sentence for each sequence that is not as far as it was when the backup began.

    Sequences heed no snapshot: the dump may find one further on than it was when its place was written down.
    """
    return [
        f"the sequence {name} is at {found[name]['last'] if name in found else 'its start'} in place of {was['last']}"
        for name, was in expected.items()
        if not was["cycles"]
        and (name not in found or (found[name]["last"] - was["last"]) * (1 if was["step"] > 0 else -1) < 0)
    ]
