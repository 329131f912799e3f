"""Who is let into which database from where: the lines of pg_hba.conf, the last of which rejects all others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from keelson.postgres.names import BACKUP

ADMINISTRATOR, MONITOR, MAINTENANCE_DATABASE = "postgres", "monitor", "postgres"
LOOPBACK = ("127.0.0.1/32", "::1/128")
REJECT = "host all all all reject"
METHOD = "scram-sha-256"

Kind = Literal["host", "hostssl"]  # with or without encryption, or with it alone
Proof = Literal["with_password", "without_password"]  # of logins that show a certificate for their own name
SHOWN: Mapping[Proof, str] = {"with_password": f"{METHOD} clientcert=verify-full", "without_password": "cert"}


@dataclass(frozen=True, slots=True)
class Admission:
    """Logins that are let into one database from some addresses: networks such as 10.0.0.0/8, or `all`.

    With a `proof` they show a certificate too, which they can over an encrypted connection alone.
    """

    database: str
    logins: tuple[str, ...]
    addresses: tuple[str, ...]
    proof: Proof | None = None


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
        method = SHOWN[admission.proof] if admission.proof else METHOD
        for address in admission.addresses:
            yield _line(
                "hostssl" if admission.proof else kind, _quoted(admission.database), logins, address, method=method
            )


def _line(*words: str, method: str = METHOD) -> str:
    return " ".join((*words, method))


def _quoted(name: str) -> str:
    return f'"{name}"'  # else a database called `replication` would be another thing
