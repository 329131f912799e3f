"""What pgAdmin's list leads to, asked by pgAdmin's own pages."""

from __future__ import annotations

import json

from tests.local.pgadmin_client import PgAdminSession
from tests.stack.harness import StackUnderTest


def opened(stack: StackUnderTest, server: str = "main") -> set[str]:
    """Return which entries of a server pgAdmin opens anew without asking for a password."""
    guest = PgAdminSession(stack.port("pgadmin"))
    login = json.loads(stack.keelson("pgadmin", "--json").stdout)
    assert guest.log_in(login["email"], login["password"])
    return {entry for entry in guest.tree()[server] if guest.connect(server, entry)}
