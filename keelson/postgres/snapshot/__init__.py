"""A database's catalog as objects that compare: what its schema is, whoever made it and in whatever order."""

from keelson.postgres.snapshot.difference import Difference, compare
from keelson.postgres.snapshot.markdown import as_markdown
from keelson.postgres.snapshot.model import Facts, Key, Snapshot
from keelson.postgres.snapshot.reading import read
from keelson.postgres.snapshot.remembered import changed, is_comparable, is_readable, remember
from keelson.postgres.snapshot.text import as_text

__all__ = [
    "Difference",
    "Facts",
    "Key",
    "Snapshot",
    "as_markdown",
    "as_text",
    "changed",
    "compare",
    "is_comparable",
    "is_readable",
    "read",
    "remember",
]
