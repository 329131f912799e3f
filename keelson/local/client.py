"""PostgreSQL's and Redis's client programs from the private root, with all of this machine's own around them.

The root's loader runs them with the root's libraries. What a user's session calls from there, the pager, the editor, a
shell, is this machine's own and starts with its own libraries.
"""

from __future__ import annotations

import os

from keelson.errors import PlatformError
from keelson.local import root


def command(program: str) -> list[str]:
    """Return the command line of a client program."""
    found = root.find()
    loader = next(found.path.glob("usr/lib/*/ld-linux-*.so.*"), None)
    if loader is None:
        msg = f"the private Debian root {found.path} is damaged (it has no loader); {root.NEXT}"
        raise PlatformError(msg)
    places = (f"{found.path}{found.program(program)}", f"{found.path}/usr/bin/{program}")
    return [
        *(str(loader), "--inhibit-cache", "--library-path", str(loader.parent)),
        next(filter(os.path.exists, places), places[0]),
    ]
