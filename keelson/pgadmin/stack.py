"""Login and list from the registry of a stack on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keelson.errors import KeelsonError
from keelson.local import registry
from keelson.local.registry import Registry, ServerRecord
from keelson.pgadmin.wanted import Entry, Wanted, state, text

NAME = "pgadmin"
LOGIN, CLIENT = "admin", "oidc"  # whose passwords are kept: pgAdmin's administrator, and pgAdmin itself with the issuer


@dataclass(frozen=True)
class StackSource:
    """The registry of the stack `key`; see `Source` for what each method is for."""

    key: str

    def read(self) -> Wanted:
        """Return what the registry says now.

        Raises:
            KeelsonError: the registry cannot be read, or has no pgAdmin.
        """
        of_stack = Registry(self.key)
        record = of_stack.daemon(NAME)
        if record is None:
            msg = f"the registry of {self.key} has no pgAdmin; run `keelson up`"
            raise KeelsonError(msg)
        servers = of_stack.servers()
        return Wanted(
            email=record.settings["email"],
            password=of_stack.password(NAME, LOGIN),
            root_certificate=text(self._authority),
            entries=tuple(_entry(of_stack, servers, values) for values in record.settings["entries"]),
        )

    def fingerprint(self) -> object:
        """Return what differs as soon as one of the registry's files was replaced."""
        folder = registry.directory(self.key)
        return tuple(map(state, (folder / "stack.json", folder / "secrets.json", self._authority)))

    def sign_on(self) -> Mapping[str, Any] | None:
        """Return how one logs in by OpenID Connect; None where nobody does."""
        of_stack = Registry(self.key)
        record = of_stack.daemon(NAME)
        found: Mapping[str, Any] | None = record.settings.get("oidc") if record else None
        if found is None:
            return None
        return {**found, "client_secret": of_stack.password(NAME, CLIENT)} if found["confidential"] else found

    @property
    def _authority(self) -> Path:
        return registry.directory(self.key) / "tls" / "ca.crt"


def _entry(of_stack: Registry, servers: dict[str, ServerRecord], values: dict[str, str]) -> Entry:
    entry = Entry(**values)  # type: ignore[arg-type]  # the texts of the settings
    if entry.server not in servers or not of_stack.has_password(entry.server, entry.role):
        return entry
    return replace(entry, port=servers[entry.server].port, password=of_stack.password(entry.server, entry.role))
