"""Whether a server loads pgAudit, which writes down what changes the schema or who may do what, wherever in a function that happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keelson.settings.stack import StackSettings


def pgaudit_of(settings: StackSettings, server: str, *, known: bool) -> dict[str, bool]:
    """Return the input that has a server load pgAudit, or nothing.

    Args:
        settings: the stack's; a server's own `pgaudit` decides where it says something.
        server: its name.
        known: whether what the server is made of is known to have the library. Without it, no server would start.
    """
    said = settings.servers[server].pgaudit
    return {"pgaudit": True} if (known if said is None else said) else {}
