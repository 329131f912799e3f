"""Login and list from the registry of a stack on this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from keelson.errors import KeelsonError
from keelson.local import registry
from keelson.local.registry import Registry, ServerRecord
from keelson.pgadmin.wanted import Entry, Wanted, state, text

NAME = "pgadmin"
LOGIN = "admin"


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

    @property
    def _authority(self) -> Path:
        return registry.directory(self.key) / "tls" / "ca.crt"


def _entry(of_stack: Registry, servers: dict[str, ServerRecord], values: dict[str, str]) -> Entry:
    entry = Entry(**values)  # type: ignore[arg-type]  # the texts of the settings
    if entry.server not in servers or not of_stack.has_password(entry.server, entry.role):
        return entry
    return replace(entry, port=servers[entry.server].port, password=of_stack.password(entry.server, entry.role))
