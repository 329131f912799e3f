"""A few digits that stand for sources: other digits, another program."""

from __future__ import annotations

import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parent
DIGITS = 12


def of_sources(*folders: Path) -> str:
    """Return 12 digits of a hash of all Python files below some folders of the project, names included."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(PACKAGE.parent)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:DIGITS]
