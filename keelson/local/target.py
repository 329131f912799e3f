"""The target `local`: servers and daemons as processes of this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from keelson.entrances import Entrance, host_of
from keelson.errors import ServerError, SettingsError, UnreachableError
from keelson.local import authorities, client, daemon, ports, server, supervisor, tls, volume
from keelson.local.registry import Registry, ServerRecord
from keelson.local.state import StateHere
from keelson.target import Address, Certificate, Part

if TYPE_CHECKING:
    from keelson.local.archives import LocalArchives

LOOPBACK = "127.0.0.1"
AT_ONCE = 8  # parts that are asked at the same time


class LocalTarget(StateHere):
    """What the registry and supervisord know; see `keelson.target.Target` for what each method is for."""

    def locate(self, stack: str, server: str, entrance: Entrance = "primary") -> Address:
        """Return where `server` listens; raises UnreachableError when the stack has no such server here."""
        registry = Registry(stack)
        if redis := registry.daemon(server):
            known = tls.authority_file(stack) if redis.encrypted else None
            return Address(host=LOOPBACK, port=redis.port, root_certificate=known)
        record = registry.server(server)
        if record is None:
            msg = f"stack {stack} has no server {server} on this machine; run `keelson up`"
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
        try:
            return Registry(stack).password(server, role)
        except ServerError as fault:
            raise UnreachableError(str(fault)) from None

    def ensure_password(self, stack: str, server: str, role: str, chosen: str | None) -> str:
        """Keep `chosen`, else the password that is there, else a new one, and return it."""
        registry = Registry(stack)
        if chosen:
            registry.set_password(server, role, chosen)
            return chosen
        return registry.ensure_password(server, role)

    def client(self, program: str) -> list[str]:
        """Return the command that runs a client program of the private root, with this user's files as they are."""
        return client.command(program)

    def parts(self, stack: str) -> tuple[Part, ...]:
        """Return the stack's servers and daemons as they are now, servers first."""
        registry = Registry(stack)
        servers, daemons = registry.servers(), registry.daemons()
        statuses = {status.name: status for status in supervisor.status(stack)}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            looks = [
                *(
                    pool.submit(self._part, stack, servers[name], statuses[name])
                    for name in servers
                    if name in statuses
                ),
                *(pool.submit(daemon.look, stack, name, statuses[name]) for name in daemons if name in statuses),
            ]
        return tuple(look.result() for look in looks)

    def start(self, stack: str, parts: Sequence[str] = (), *, new_port: bool = False) -> tuple[str, ...]:
        """Start servers, then daemons, and wait until they answer; nothing to do for a stack that was never brought up."""
        registry = Registry(stack)
        known = [name for name in registry.ports() if supervisor.knows(stack, name)]
        self._refuse_unknown(stack, parts, known)
        chosen = parts or known
        down = [name for name in chosen if name in registry.servers() and not server.answering(stack, name)]
        states = server.start_stack(stack, down, new_port=new_port) if down else {}
        notes = [note for state in states.values() for note in state.notes]
        for name in chosen:
            if name in registry.daemons() and not (part := daemon.look(stack, name)).answering and not part.starting:
                notes += daemon.start_again(stack, name, new_port=new_port).notes
        return tuple(notes)

    def is_harmed(self, stack: str, parts: Sequence[str], *, new_port: bool) -> bool:  # noqa: ARG002
        """Say no: what a start does not bring back is damage that an update does not mend either."""
        return False

    def stop(self, stack: str, parts: Sequence[str] = ()) -> None:
        """Stop servers and daemons; with the last one supervisord."""
        self._refuse_unknown(stack, parts, list(Registry(stack).ports()))
        if not parts:
            server.stop_stack(stack)
        for part in parts:
            server.stop(stack, part)

    def await_end(self, stack: str) -> None:
        """Wait for nothing: what is destroyed has ended."""

    def certificates(self, stack: str) -> tuple[Certificate, ...]:
        """Return the certificates of the stack's servers, and the authority's."""
        registry = Registry(stack)
        servers = registry.servers().values()
        places = {record.name: Path(record.data_directory) for record in servers}
        places |= {name: volume.directory(stack, name) for name in registry.encrypted() if name not in places}
        found = (tls.certificate_of(name, place / "tls") for name, place in places.items())
        clients = (each for record in servers for each in tls.clients_of(stack, record.name))
        return tuple(certificate for certificate in (*found, authorities.find(stack), *clients) if certificate)

    def show_log(self, stack: str, part: str, lines: int, *, follow: bool) -> None:
        """Let tail take this process's place."""
        self._refuse_unknown(stack, [part], list(Registry(stack).ports()))
        path = supervisor.log_file(stack, part)
        command = ["tail", f"--lines={lines}", *(["--follow=name", "--retry"] if follow else []), "--", str(path)]
        os.execvp(command[0], command)  # noqa: S606

    def locate_inside(self, stack: str, server: str, entrance: Entrance = "primary") -> Address:  # noqa: ARG002
        """Refuse: these servers answer on the loopback interface alone."""
        msg = f"stack {stack} answers on this host only, not from a container; use the target docker or kubernetes"
        raise SettingsError(msg)

    def archives(self) -> LocalArchives:
        """Return what is done with directories of this machine."""
        from keelson.local.archives import LocalArchives  # noqa: PLC0415 - slow, and most commands do without

        return LocalArchives()

    def authority(self, stack: str) -> str:
        """Return the certificate that the stack's servers are verified against."""
        path = tls.authority_file(stack)
        if not path.exists():
            msg = f"stack {stack} has no certificate authority yet; run `keelson up`"
            raise UnreachableError(msg)
        return path.read_text(encoding="ascii")

    @staticmethod
    def _part(stack: str, record: ServerRecord, status: supervisor.ProgramStatus) -> Part:
        answering = server.answering(stack, record.name)
        detail = _neighbour(record) if answering else f"{status.state.lower()}; `keelson logs {record.name}`"
        return Part(name=record.name, running=bool(status.pid), answering=answering, port=record.port, detail=detail)

    @staticmethod
    def _refuse_unknown(stack: str, parts: Sequence[str], known: Sequence[str]) -> None:
        for part in parts:
            if part not in known:
                msg = f"stack {stack} has no part {part!r}; it has {', '.join(known) or 'none, run `keelson up`'}"
                raise SettingsError(msg)


def _neighbour(record: ServerRecord) -> str:
    """Say who answers where an application may look for the server first."""
    if record.port == record.preferred_port or not (holder := ports.holder(record.preferred_port)):
        return ""
    return f"not on {record.preferred_port}, where {holder} answers"
