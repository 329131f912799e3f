"""Migrations that a test writes, and what the linter says of them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from keelson.migrations.files import MigrationFile, read_directory
from keelson.migrations.lint import Finding, Place, lint

OLD = """
CREATE TABLE users (id bigint PRIMARY KEY, name varchar(20), age int, note text, email text NOT NULL);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint);
CREATE TYPE mood AS ENUM ('good');
CREATE TABLE bars (at timestamptz NOT NULL, symbol text, close numeric);
SELECT create_hypertable('bars', 'at');
"""


def write(folder: Path, *texts: str) -> tuple[MigrationFile, ...]:
    """Write migrations, numbered from 1, into a folder of their own, and read them."""
    folder = Path(tempfile.mkdtemp(dir=folder))
    for number, text in enumerate(texts, 1):
        (folder / f"{number:03d}_a.sql").write_text(text, encoding="utf-8")
    return read_directory(folder, folder)


def findings(folder: Path, text: str | Sequence[str], *earlier: str, place: Place | None = None) -> list[Finding]:
    """Return what is found in pending files, after others that ran."""
    pending = [text] if isinstance(text, str) else list(text)
    files = write(folder, OLD, *earlier, *pending)
    count = len(files) - len(pending)
    return list(lint(files[count:], files[:count], place or Place()))


def rules(folder: Path, text: str | Sequence[str], *earlier: str, place: Place | None = None) -> list[str]:
    """Return the rules that pending files break."""
    return [finding.rule for finding in findings(folder, text, *earlier, place=place)]
