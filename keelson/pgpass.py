"""Lines of libpq's file of passwords, and what such files cannot hold."""

from __future__ import annotations

import unicodedata


def line(host: str, port: str, database: str, role: str, password: str) -> str:
    """Return a line; `*` stands for any database."""
    fields = (host, port, database, role, password)
    return ":".join(field.replace("\\", "\\\\").replace(":", "\\:") for field in fields) + "\n"


def is_writable(password: str) -> bool:
    """Whether a password fits into a line: of this file, of a .env, of a configuration."""
    return not any(unicodedata.category(character) == "Cc" for character in password)
