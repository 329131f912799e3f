"""Which packages of PyPI pgAdmin runs with, and what of it stays out."""

from __future__ import annotations

from pathlib import Path

WANTED = Path(__file__).with_name("pgadmin.in")
EXCLUDES = Path(__file__).with_name("pgadmin.excludes")
LOCK = Path(__file__).with_name("pgadmin.lock")
LEFT_OUT = (
    "docs",
    "**/tests",
    "**/*.js.map",
)  # of pgAdmin's own folder: manual, tests, what debuggers of its pages read
