"""A stack as it is seen from inside: the registry's files, parts by their names on the network, nothing to start or stop."""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import psycopg

from keelson.errors import KeelsonError, SettingsError, UnreachableError
from keelson.inside import operations
from keelson.local import tls
from keelson.local.registry import DaemonRecord, Registry, ServerRecord
from keelson.target import Address, Certificate, Part

AT_ONCE = 8  # parts that are asked at the same time
SECONDS = 2.0  # until a part must have answered
PAGES = {"pgadmin": "/misc/ping", "agent": "/live"}
PROGRAMS = "/usr/lib/postgresql/17/bin"


class InsideTarget:
    """What the registry knows; see `keelson.target.Target` for what each method is for."""

    def locate(self, stack: str, server: str) -> Address:
        """Return where `server` answers on the network; raises UnreachableError when the stack has no such server."""
        registry = Registry(stack)
        if daemon := registry.daemon(server):
            return Address(host=daemon.host, port=daemon.port)
        record = registry.server(server)
        if record is None:
            msg = f"stack {stack} has no server {server}; run `keelson up`"
            raise UnreachableError(msg)
        return Address(host=record.host, port=record.port, root_certificate=tls.authority_file(stack))

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
                *(pool.submit(_server, self, stack, record) for record in registry.servers().values()),
                *(pool.submit(_daemon, self, stack, record) for record in registry.daemons().values()),
            ]
        return tuple(look.result() for look in looks)

    def start(self, stack: str, parts: Sequence[str] = (), *, new_port: bool = False) -> tuple[str, ...]:  # noqa: ARG002
        """Refuse: from inside nothing is started."""
        _refuse()

    def stop(self, stack: str, parts: Sequence[str] = ()) -> None:  # noqa: ARG002
        """Refuse: from inside nothing is stopped."""
        _refuse()

    def show_log(self, stack: str, part: str, lines: int, *, follow: bool) -> None:  # noqa: ARG002
        """Refuse: the logs are the platform's."""
        _refuse()

    def locate_inside(self, stack: str, server: str) -> Address:
        """Return where `server` answers on the network."""
        return self.locate(stack, server)

    def certificates(self, stack: str) -> tuple[Certificate, ...]:
        """Return the certificates of the stack's servers."""
        registry = Registry(stack)
        found = (tls.certificate_of(name, registry.directory / "tls" / name) for name in registry.servers())
        return tuple(certificate for certificate in found if certificate)


def _refuse() -> NoReturn:
    msg = "this runs inside the stack, where nothing is started, stopped or read from logs; run the command where you run `keelson up`"
    raise SettingsError(msg)


def _server(place: InsideTarget, stack: str, record: ServerRecord) -> Part:
    try:
        address = place.locate(stack, record.name)
        psycopg.connect(
            host=address.host,
            port=address.port,
            user="postgres",
            password=place.password(stack, record.name, "postgres"),
            dbname="postgres",
            sslmode="verify-full",
            sslrootcert=str(address.root_certificate),
            connect_timeout=int(SECONDS),
            application_name="keelson",
        ).close()
        fault = ""
    except (psycopg.Error, KeelsonError) as error:
        fault = str(error).strip().splitlines()[0]
    return _part(record, "server", fault)


def _daemon(place: InsideTarget, stack: str, record: DaemonRecord) -> Part:
    fault = _redis(place, stack, record) if record.kind == "redis" else _page(record)
    return _part(record, record.kind, fault)


def _redis(place: InsideTarget, stack: str, record: DaemonRecord) -> str:
    from keelson.redis.wire import RefusedError, conversation  # noqa: PLC0415

    try:
        password = place.password(stack, record.name, "admin")
        with conversation(record.port, "admin", password, SECONDS, host=record.host) as redis:
            redis.ask("PING")
    except (OSError, RefusedError, KeelsonError) as error:
        return str(error) or "does not answer"
    return ""


def _page(record: DaemonRecord) -> str:
    connection = http.client.HTTPConnection(record.host, record.port, timeout=SECONDS)
    try:
        connection.request("GET", PAGES[record.kind])
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or "does not answer"
    finally:
        connection.close()
    return "" if status == http.client.OK else f"answers {status}"


def _part(record: ServerRecord | DaemonRecord, kind: str, fault: str) -> Part:
    return Part(name=record.name, kind=kind, running=not fault, answering=not fault, port=record.port, detail=fault)
