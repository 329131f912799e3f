"""A stack as it is seen from inside: the registry's files, parts by their names on the network, nothing to start or stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from keelson.backups import disks
from keelson.entrances import Entrance, host_of
from keelson.errors import SettingsError, UnreachableError
from keelson.inside import operations
from keelson.inside.looks import fault_of, lack_of
from keelson.local import authorities, tls
from keelson.local.registry import DaemonRecord, Registry, ServerRecord
from keelson.local.state import StateHere
from keelson.target import Address, Certificate, Part

if TYPE_CHECKING:
    from keelson.backups.disks import Disks
    from keelson.inside.archives import InsideArchives

AT_ONCE = 8  # parts that are asked at the same time
PROGRAMS = "/usr/lib/postgresql/17/bin"


class InsideTarget(StateHere):
    """What the registry knows; see `keelson.target.Target` for what each method is for."""

    def locate(self, stack: str, server: str, entrance: Entrance = "primary") -> Address:
        """Return where `server` answers on the network; raises UnreachableError when the stack has no such server."""
        registry = Registry(stack)
        if daemon := registry.daemon(server):
            known = tls.authority_file(stack) if daemon.encrypted else None
            return Address(host=daemon.host, port=daemon.port, root_certificate=known)
        record = registry.server(server)
        if record is None:
            msg = f"stack {stack} has no server {server}; run `keelson up`"
            raise UnreachableError(msg)
        host = host_of(asdict(record), entrance, stack)
        root = tls.authority_file(stack)
        return Address(host=host, port=record.port, root_certificate=root, certified=tuple(record.certified))

    def instances(self, stack: str, redis: str) -> tuple[Address, ...]:
        """Return where the only instance answers."""
        return (self.locate(stack, redis),)

    def keep_users(self, stack: str, redis: str, rules: Mapping[str, str]) -> None:
        """Nothing: there is one instance, which keeps them itself."""

    def password(self, stack: str, server: str, role: str) -> str:
        """Return the password of `role`; raises UnreachableError when there is none."""
        return operations.password(stack, server, role)

    def ensure_password(self, stack: str, server: str, role: str, chosen: str | None) -> str:
        """Keep `chosen`, else the password that is there, else a new one, and return it."""
        return operations.ensure_password(stack, server, role, chosen)

    def client(self, program: str) -> list[str]:
        """Return the command that runs a client program of this container."""
        return [f"/usr/bin/{program}" if program.startswith("redis") else f"{PROGRAMS}/{program}"]

    def parts(self, stack: str) -> tuple[Part, ...]:
        """Return the stack's servers and daemons as they answer now, servers first; whether one runs is not known here."""
        registry = Registry(stack)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            looks = [
                *(pool.submit(_part, self, stack, "server", record) for record in registry.servers().values()),
                *(pool.submit(_part, self, stack, record.kind, record) for record in registry.daemons().values()),
            ]
        return tuple(look.result() for look in looks)

    def start(self, stack: str, parts: Sequence[str] = (), *, new_port: bool = False) -> tuple[str, ...]:  # noqa: ARG002
        """Refuse: from inside nothing is started."""
        _refuse()

    def is_harmed(self, stack: str, parts: Sequence[str], *, new_port: bool) -> bool:  # noqa: ARG002
        """Refuse: from inside nothing is brought up."""
        _refuse()

    def stop(self, stack: str, parts: Sequence[str] = ()) -> None:  # noqa: ARG002
        """Refuse: from inside nothing is stopped."""
        _refuse()

    def show_log(self, stack: str, part: str, lines: int, *, follow: bool) -> None:  # noqa: ARG002
        """Refuse: the logs are the platform's."""
        _refuse()

    def locate_inside(self, stack: str, server: str, entrance: Entrance = "primary") -> Address:
        """Return where `server` answers on the network."""
        return self.locate(stack, server, entrance)

    def await_end(self, stack: str) -> None:
        """Wait for nothing: what is destroyed has ended."""

    def certificates(self, stack: str) -> tuple[Certificate, ...]:
        """Return the certificates of the stack's servers, and the authority's."""
        registry = Registry(stack)
        found = (tls.certificate_of(name, registry.directory / "tls" / name) for name in registry.encrypted())
        clients = (each for name in registry.servers() for each in tls.clients_of(stack, name))
        return tuple(certificate for certificate in (*found, authorities.find(stack), *clients) if certificate)

    def authority(self, stack: str) -> str:
        """Return the certificate that the stack's servers are verified against."""
        return operations.authority(stack)

    def archives(self) -> InsideArchives:
        """Return what is seen of them from here."""
        from keelson.inside.archives import InsideArchives  # noqa: PLC0415 - most questions do without

        return InsideArchives()

    def disks(self, stack: str, backups: Path | None, data: Sequence[Path]) -> Disks:  # noqa: ARG002
        """Return what is known of the disks of the stack's volumes."""
        return disks.look(stack, backups)


def _refuse() -> NoReturn:
    msg = "this runs inside the stack, where nothing is started, stopped or read from logs; run the command where you run `keelson up`"
    raise SettingsError(msg)


def _part(place: InsideTarget, stack: str, kind: str, record: ServerRecord | DaemonRecord) -> Part:
    fault = fault_of(place, stack, kind, record.name)
    lack = "" if fault else lack_of(place, stack, asdict(record))
    return Part(
        name=record.name,
        kind=kind,
        running=not fault,
        answering=not fault,
        degraded=bool(lack),
        port=record.port,
        detail=fault or lack,
    )
