"""Who is let into which database from where: the lines of pg_hba.conf, the last of which rejects all others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from keelson.postgres.names import BACKUP

ADMINISTRATOR, MONITOR, MAINTENANCE_DATABASE = "postgres", "monitor", "postgres"
LOOPBACK = ("127.0.0.1/32", "::1/128")
REJECT = "host all all all reject"
METHOD = "scram-sha-256"

Kind = Literal["host", "hostssl"]  # with or without encryption, or with it alone


@dataclass(frozen=True, slots=True)
class Admission:
    """Logins that are let into one database from some addresses: networks such as 10.0.0.0/8, or `all`."""

    database: str
    logins: tuple[str, ...]
    addresses: tuple[str, ...]


def rules(kind: Kind, platform: Sequence[str], services: Iterable[Admission]) -> tuple[str, ...]:
    """Return the lines for a server.

    Args:
        kind: of connections; those within one machine may do without encryption.
        platform: from where the administrator, backups and the exporter come.
        services: who else is let in.
    """
    return (*_platform(kind, platform), *_services(kind, services), REJECT)


def _platform(kind: Kind, addresses: Sequence[str]) -> Iterator[str]:
    for address in addresses:
        yield _line(kind, "all", f"{_quoted(ADMINISTRATOR)},{_quoted(BACKUP)}", address)
        yield _line(kind, _quoted(MAINTENANCE_DATABASE), _quoted(MONITOR), address)
    for address in addresses:
        if address in LOOPBACK:
            yield _line(kind, "replication", _quoted(ADMINISTRATOR), address)


def _services(kind: Kind, services: Iterable[Admission]) -> Iterator[str]:
    for admission in services:
        logins = ",".join(map(_quoted, admission.logins))
        for address in admission.addresses:
            yield _line(kind, _quoted(admission.database), logins, address)


def _line(*words: str) -> str:
    return " ".join((*words, METHOD))


def _quoted(name: str) -> str:
    return f'"{name}"'  # else a database called `replication` would be another thing
