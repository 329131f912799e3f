"""What lies beside a part's files, so that it can be seen whether they are as they should be: a random salt, and a digest with it.

What stands in the engine's state is made of that alone: a short password must not be guessed from it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping

FILE = ".keelson"
SALT_BYTES = 16


def beside(files: Mapping[str, str], old: str, *facts: object) -> str:
    """Return what lies beside the files: `old`, if that fits them and the further facts, else a new one."""
    if old and hmac.compare_digest(old, _salted(old.partition(" ")[0], files, facts)):
        return old
    return _salted(secrets.token_hex(SALT_BYTES), files, facts)


def told(found: str) -> str:
    """Return what others may know of it; nothing where nothing was found."""
    return hashlib.sha256(found.encode()).hexdigest() if found else ""


def _salted(salt: str, files: Mapping[str, str], facts: tuple[object, ...]) -> str:
    content = json.dumps([sorted(files.items()), facts])
    return f"{salt} {hmac.new(salt.encode(), content.encode(), 'sha256').hexdigest()}"
