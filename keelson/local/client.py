"""PostgreSQL's client programs, run from the private root with this user's own files around them."""

from __future__ import annotations

from keelson.local import root


def command(program: str) -> list[str]:
    """Return the command line of a client program: this machine's file system, but the root's programs and libraries."""
    found = root.find()
    return [
        *(root.bubblewrap(), "--dev-bind", "/", "/", "--ro-bind", str(found.path / "usr"), "/usr", "--die-with-parent"),
        found.program(program),
    ]
