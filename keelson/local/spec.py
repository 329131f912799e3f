"""What a server of this machine is asked to be, and what it then is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keelson import paths
from keelson.backups.physical.archiving import Archiving
from keelson.errors import SettingsError
from keelson.local.registry import KEY, ServerRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class ServerSpec:
    """One PostgreSQL server of a stack.

    Attributes:
        key: the stack's key.
        stack_id: the stack's random id, which marks what is the stack's own.
        name: the server's name in the stack.
        version_label: what the settings call its version.
        data_directory: where its data lies; by default below the user's data directory.
        port: the port that the settings demand; None for a free one.
        preferred_port: where to look for a free one first.
        avoid_ports: ports that are the stack's own for something else.
        parameters: PostgreSQL's parameters, by name, as the settings give them.
        timescale: whether TimescaleDB is loaded.
        pgaudit: whether pgAudit is.
        certified: the logins that show a certificate.
        archiving: how it keeps what a restore to any moment takes; None: it does not.
        origin: the server that it shows as that was at a moment; empty for one of the settings.
        passphrase: by which that is encrypted; empty for one made up.
        hba: the lines of pg_hba.conf; none where all logins are let in from this machine.
    """

    key: str
    stack_id: str
    name: str
    version_label: str = ""
    data_directory: Path | None = None
    port: int | None = None
    preferred_port: int = 5432
    avoid_ports: tuple[int, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    timescale: bool = False
    hba: tuple[str, ...] = ()
    certified: tuple[str, ...] = ()
    pgaudit: bool = False
    archiving: Archiving | None = None
    origin: str = ""
    passphrase: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for what, text, pattern in (("stack key", self.key, KEY), ("server's name", self.name, NAME)):
            if not pattern.fullmatch(text):
                msg = f"the {what} {text!r} cannot name a directory; use letters, digits, '-' and '_', a letter first"
                raise SettingsError(msg)

    @property
    def directory(self) -> Path:
        """The server's own directory: marker, data, certificates, sockets."""
        return self.data_directory or paths.data() / "stacks" / self.key / self.name

    @property
    def label(self) -> str:
        """The server's cluster_name."""
        return f"{self.key}/{self.name}"

    def record(self, port: int) -> ServerRecord:
        """Return what the registry keeps of the server."""
        return ServerRecord(
            name=self.name,
            port=port,
            data_directory=str(self.directory),
            version_label=self.version_label,
            fixed_port=self.port,
            preferred_port=self.preferred_port,
            avoid_ports=self.avoid_ports,
            timescale=self.timescale,
            parameters=dict(self.parameters),
            hba=self.hba,
            certified=self.certified,
            pgaudit=self.pgaudit,
            archiving=self.archiving.values() if self.archiving else {},
            origin=self.origin,
        )


@dataclass(frozen=True)
class ServerState:
    """A server that answers.

    Attributes:
        port: where, on 127.0.0.1.
        pid: the postmaster's process id.
        version: PostgreSQL's version, for example 17.11.
        notes: what the user should know, for example why another port was taken.
    """

    port: int
    pid: int
    version: str
    notes: tuple[str, ...] = ()
