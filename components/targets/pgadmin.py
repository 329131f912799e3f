"""What pgAdmin is made of, wherever it runs: plain values for its kind, and the passwords that the user chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keelson.pgadmin.stack import CLIENT, LOGIN
from keelson.settings.parts import PgAdminSettings
from keelson.settings.pgadmin import OidcSettings
from keelson.settings.stack import StackSettings


def values(settings: StackSettings, entries: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return the values without secrets; what is not set does not stand there."""
    pgadmin = settings.pgadmin
    page = {"host": pgadmin.host, "encrypted": pgadmin.encrypted}
    return {
        "email": pgadmin.email,
        "entries": [dict(entry) for entry in entries],
        "protected": settings.protected,
        **({"page": page} if pgadmin.host else {}),
        **({"oidc": _oidc(pgadmin.oidc)} if pgadmin.oidc else {}),
    }


def passwords(pgadmin: PgAdminSettings) -> dict[str, str]:
    """Return the chosen passwords, by login."""
    secret = pgadmin.oidc.client_secret if pgadmin.oidc else None
    chosen = {LOGIN: pgadmin.password, CLIENT: secret}
    return {login: text.get_secret_value() for login, text in chosen.items() if text}


def _oidc(given: OidcSettings) -> dict[str, Any]:
    return {
        "issuer": given.issuer,
        "client_id": given.client_id,
        "confidential": given.client_secret is not None,
        "name": given.name,
        "scopes": list(given.scopes),
        "domains": list(given.allowed_domains),
        "groups": list(given.allowed_groups),
        "local_login": given.local_login,
    }
