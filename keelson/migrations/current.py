"""Whether a database has all files of a directory as they are, in one question that both sides answer with few bytes.

What takes long with thousands of files is to look at each: here, for the names and the kept hashes, and on the server, for its rows. Who is told
no, or that nothing is known, has to look; whatever is wrong is found and named then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import psycopg

from keelson.migrations.files import UNDO_SUFFIX, list_names
from keelson.migrations.hashes import Kept
from keelson.migrations.ledger import has_ledger

_DIGEST = """
    SELECT encode(sha256(convert_to(string_agg(file || ' ' || checksum, E'\\n' ORDER BY file COLLATE "C"), 'UTF8')), 'hex')
    FROM public.schema_versions HAVING count(*) = count(file || checksum)
"""


def digest_of(directory: Path) -> str | None:
    """Return what stands for all files of a directory; None where they have to be read for that.

    Raises:
        MigrationError: the directory cannot be read.
    """
    names = list_names(directory, str(directory))
    meanings = Kept(directory).meanings()
    files = [name for name in names if not name.endswith(UNDO_SUFFIX)]
    if not files or any(name not in meanings for name in files) or _has_orphans(names, meanings):
        return None
    return hashlib.sha256("\n".join(f"{name} {meanings[name]}" for name in files).encode()).hexdigest()


def is_current(connection: psycopg.Connection, digest: str | None) -> bool:
    """Say whether a database has applied what a digest stands for, and nothing else; False where that is not known."""
    if digest is None:
        return False
    try:
        if not has_ledger(connection):
            return False
        row = connection.execute(_DIGEST).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return False
    return row is not None and row[0] == digest


def _has_orphans(names: Sequence[str], files: dict[str, str]) -> bool:
    return any(name.removesuffix(UNDO_SUFFIX) + ".sql" not in files for name in names if name.endswith(UNDO_SUFFIX))
