"""A PostgreSQL server of this machine, from its specification to its answer."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from keelson.backups.physical.archiving import archiving_of
from keelson.errors import ServerError
from keelson.local import archive, configuration, ports, supervisor, tls
from keelson.local import root as private_root
from keelson.local.data_directory import (
    ADMINISTRATOR,
    alone,
    make_data_directory,
    move_data,
    remove_data,
    renew_password,
    require_data,
)
from keelson.local.launch import Launch
from keelson.local.registry import Registry, ServerRecord
from keelson.local.root import DATA, PrivateRoot, telling
from keelson.local.spec import ServerSpec, ServerState
from keelson.local.supervisor import Program, ProgramStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "ServerSpec",
    "ServerState",
    "answering",
    "check",
    "connect",
    "discard",
    "make_data_directory",
    "move_data",
    "remove",
    "remove_data",
    "restart",
    "start",
    "start_stack",
    "stop",
    "stop_stack",
]

ANSWER_SECONDS = 60  # a server that neither ends nor recovers must answer within
RECOVERY_SECONDS = 600  # one that says that it is recovering
PORT_ATTEMPTS = 5
POLL = 0.02
PREFIX = re.compile(r"^\S+ \S+ \S+ \[\d+\] (?:\S+ )?[A-Z]+:\s+")  # of a log line, after log_line_prefix


def check(spec: ServerSpec) -> None:
    """Check a specification without changing anything.

    Raises:
        SettingsError: a parameter is unknown, wrong, or the platform's own.
        PlatformError: the private root is missing or damaged.
    """
    configuration.check(spec, private_root.find())


def start(spec: ServerSpec, *, new_port: bool = False) -> ServerState:
    """Bring a server up as specified, or a running one up to date, and wait until it answers.

    A running server is reloaded, and restarted only if a changed parameter asks for it. `new_port` allows another port
    in place of the recorded one if that was taken while the server was down.

    Raises:
        ServerError: the data directory is missing or another's, or the server does not start.
        PortInUseError: the port is taken.
        SettingsError: a parameter is wrong.
    """
    root = private_root.find()
    configuration.check(spec, root)
    with alone(spec.key, spec.name):
        require_data(spec, root)
        Registry(spec.key).claim(spec.stack_id)
        if not Registry(spec.key).has_password(spec.name, ADMINISTRATOR):
            supervisor.remove(spec.key, spec.name)
            renew_password(spec, root)
        old = Registry(spec.key).server(spec.name)
        running = old is not None and _status(spec.key, spec.name).pid != 0
        keeps = running and old is not None and spec.port in (None, old.port)
        choice = ports.Choice(old.port) if old and keeps else ports.choose_again(spec, old, new_port=new_port)
        if old and old.port != choice.port:
            supervisor.stop(spec.key, spec.name)
        return _start_on_a_port(spec, root, choice)


def stop(key: str, name: str) -> None:
    """Stop a server cleanly; nothing happens if it does not run."""
    with alone(key, name):
        supervisor.stop(key, name)


def restart(key: str, name: str) -> ServerState:
    """Stop a server cleanly, and start it as it was."""
    stop(key, name)
    return start(recorded(key, name))


def remove(key: str, name: str) -> None:
    """Stop a server and take it from supervisord; its data, port and passwords stay until `remove_data`."""
    with alone(key, name):
        supervisor.remove(key, name)


def discard(key: str, name: str) -> None:
    """Stop a server at once whose data is removed next; if it is not after all, the next start recovers every row."""
    with alone(key, name):
        supervisor.hasten(key, name)
        supervisor.remove(key, name)


def answering(key: str, name: str) -> bool:
    """Return whether a server lets its administrator in."""
    try:
        with connect(key, name):
            return True
    except (psycopg.Error, ServerError):
        return False


def connect(key: str, name: str, database: str = "postgres") -> psycopg.Connection:
    """Connect as the administrator, in autocommit; the certificate proves that it is this stack's server.

    Raises:
        psycopg.OperationalError: it does not answer.
        ServerError: the stack has no such server.
    """
    return psycopg.connect(
        host="127.0.0.1",
        port=_record(key, name).port,
        user=ADMINISTRATOR,
        password=Registry(key).password(name, ADMINISTRATOR),
        dbname=database,
        sslmode="verify-full",
        sslrootcert=str(tls.authority_file(key)),
        gssencmode="disable",
        connect_timeout=2,
        application_name="keelson",
        autocommit=True,
    )


def start_stack(key: str, names: Sequence[str] = (), *, new_port: bool = False) -> dict[str, ServerState]:
    """Start servers of a stack (all where none is named), for example after a reboot; return their states by name.

    Raises:
        KeelsonError: the first failure, after all were tried.
    """
    names = names or [name for name in Registry(key).servers() if supervisor.knows(key, name)]
    if not names:
        msg = f"stack {key} has no server on this machine; run `keelson up`"
        raise ServerError(msg)
    with ThreadPoolExecutor(max_workers=4) as pool:
        waiting = {name: pool.submit(start, recorded(key, name), new_port=new_port) for name in names}
    return {name: future.result() for name, future in waiting.items()}


def stop_stack(key: str) -> None:
    """Stop all programs of a stack cleanly, and its supervisord."""
    supervisor.shutdown(key)


def program(spec: ServerSpec, root: PrivateRoot) -> Program:
    """Return what supervisord is to keep running: the postmaster as the first process of its sandbox."""
    argv = [root.program("postgres"), "-D", f"{DATA}/pgdata"]
    command = root.command(argv, data=spec.directory, maybe=archive.mounts(spec), as_first_process=True)
    return Program(spec.name, tuple(command), "SIGINT", sandboxed=True, lock=spec.directory / "server.lock")


class _BindError(ServerError):
    """Somebody else was quicker to take the port."""


def _start_on_a_port(spec: ServerSpec, root: PrivateRoot, choice: ports.Choice) -> ServerState:
    lost: tuple[int, ...] = ()
    while True:
        try:
            return replace(_launch(spec, root, choice.port), notes=choice.notes)
        except _BindError:
            lost = (*lost, choice.port)
            if spec.port is not None or len(lost) == PORT_ATTEMPTS:
                raise ports.in_use(choice.port) from None
        choice = ports.choose(spec.preferred_port, {*spec.avoid_ports, *lost}, mine=spec.label)


def _launch(spec: ServerSpec, root: PrivateRoot, port: int) -> ServerState:
    """Start the server, or bring one that runs since before the configuration was written up to date."""
    certified = configuration.write(spec, port)
    Registry(spec.key).record(spec.stack_id, spec.record(port))
    launch = Launch.now(spec.key, spec.name)
    if certified:
        supervisor.hang_up(spec.key, spec.name)  # until it reads the new certificate nobody can verify it
    supervisor.add_or_update(spec.key, program(spec, root))
    state = _await_answer(spec, launch)
    if _status(spec.key, spec.name).started > launch.at or not _waits_for_a_restart(spec):
        return state
    launch = Launch.now(spec.key, spec.name)
    supervisor.restart(spec.key, spec.name)
    return _await_answer(spec, launch)


def _waits_for_a_restart(spec: ServerSpec) -> bool:
    """Let a running server read its files again; say whether a changed parameter waits for a restart."""
    with connect(spec.key, spec.name) as connection:
        return bool(configuration.reload(connection, spec.name))


def _await_answer(spec: ServerSpec, launch: Launch) -> ServerState:
    """Wait until the server answers.

    Raises:
        ServerError: it ended, or did not answer in time; it is stopped then, so that it does not go on failing.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return _ask(spec)
        except psycopg.OperationalError as fault:
            said = str(fault)
        if "starting up" in said or "recovery" in said:
            deadline = max(deadline, launch.at - time.time() + time.monotonic() + RECOVERY_SECONDS)
        status = _status(spec.key, spec.name)
        failed = status.exit_status is not None and status.failures > 0 and status.started > launch.at
        if failed or time.monotonic() > deadline:
            supervisor.stop(spec.key, spec.name)
            raise _failure(spec, launch, "does not start" if failed else "does not answer", said)
        time.sleep(POLL)


def _ask(spec: ServerSpec) -> ServerState:
    with connect(spec.key, spec.name) as connection:
        version = connection.info.parameter_status("server_version") or ""
        connection.execute("select 1")
        return ServerState(connection.info.port, _status(spec.key, spec.name).pid, version.partition(" ")[0])


def _failure(spec: ServerSpec, launch: Launch, what: str, said: str) -> ServerError:
    lines = launch.lines()
    if any("could not bind" in line and "in use" in line for line in lines):
        return _BindError(f"server {spec.name} could not bind its port")
    reason = PREFIX.sub("", telling(lines)) or said.strip().splitlines()[-1]
    return ServerError(f"server {spec.name} {what}: {reason}; see {launch.log} and run `keelson start` again")


def recorded(key: str, name: str) -> ServerSpec:
    record = _record(key, name)
    stack = Registry(key).stack()
    return ServerSpec(
        key=key,
        stack_id=stack.stack_id if stack else "",
        name=name,
        version_label=record.version_label,
        data_directory=Path(record.data_directory),
        port=record.fixed_port,
        preferred_port=record.preferred_port,
        avoid_ports=record.avoid_ports,
        parameters=_texts(record.parameters),
        timescale=record.timescale,
        hba=tuple(record.hba),
        certified=tuple(record.certified),
        pgaudit=record.pgaudit,
        archiving=archiving_of(record.archiving),
        origin=record.origin,
    )


def _texts(parameters: Mapping[str, str]) -> dict[str, str]:
    return {name: str(value) for name, value in parameters.items()}


def _record(key: str, name: str) -> ServerRecord:
    if (record := Registry(key).server(name)) is None:
        msg = f"stack {key} has no server {name} on this machine; run `keelson up`"
        raise ServerError(msg)
    return record


def _status(key: str, name: str) -> ProgramStatus:
    return supervisor.noted(key, name)
