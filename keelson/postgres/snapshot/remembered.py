"""What an `up` remembers of a catalog: digits for each group of facts, small enough for the stack's state."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from keelson.postgres.snapshot.deparsed import as_restored
from keelson.postgres.snapshot.model import Snapshot, form_of_questions
from keelson.postgres.snapshot.reading import read

FORM = "form"
REVISION = "/as restored"  # of the digits: what is added when the same facts make others


def remember(connection: psycopg.Connection) -> dict[str, str]:
    """Return the digits of the connected database's catalog, and of the form that they were made in."""
    return remembered(read(connection))


def remembered(snapshot: Snapshot) -> dict[str, str]:
    """Return the same of a snapshot."""
    return {**as_restored(snapshot).fingerprints, FORM: snapshot.form + REVISION}


def is_readable(before: Mapping[str, str]) -> bool:
    """Say whether digits are there that this release of Keelson would make of the same catalog; opens no connection."""
    form = before.get(FORM, "")
    return form.partition("/")[0] == form_of_questions() and form.endswith(REVISION)


def is_comparable(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Say whether two catalogs were asked in the same way, of servers that write the same things alike."""
    return before.get(FORM) == now.get(FORM)


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Return the groups in which two comparable catalogs differ, such as `indexes`."""
    return tuple(sorted(group for group in before.keys() | now.keys() if before.get(group) != now.get(group)))
