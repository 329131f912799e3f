"""A supervised program of this machine that is no PostgreSQL server: Redis, pgAdmin, the agent.

What is the same for all stands here (port, registry, supervisor, waiting for an answer); what is particular to one kind
in a module that `kind` names, with the small interface `Kind`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from keelson.errors import ServerError
from keelson.local import ports, supervisor
from keelson.local.data_directory import alone
from keelson.local.launch import Launch
from keelson.local.registry import DaemonRecord, Registry
from keelson.local.root import telling
from keelson.local.supervisor import Program, ProgramStatus
from keelson.target import Part

POLL = 0.02
LAUNCH_SECONDS = 5.0  # until a process must be there


@dataclass(frozen=True)
class DaemonSpec:
    """One daemon of a stack; `settings` are plain values that its kind knows, and hold no secret."""

    key: str
    stack_id: str
    name: str
    kind: str
    port: int | None = None
    preferred_port: int = 0
    avoid_ports: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The stack's key and the daemon's name."""
        return f"{self.key}/{self.name}"


@dataclass(frozen=True)
class DaemonState:
    """A daemon that was started; `notes` are what the user should know, for example why another port was taken."""

    port: int
    notes: tuple[str, ...] = ()


class Kind(Protocol):
    """What is particular to one kind of daemon."""

    @property
    def logins(self) -> tuple[str, ...]:
        """Whose passwords are made before its first start."""

    @property
    def patience(self) -> float:
        """Seconds within which it answers after a start; `start` waits as long."""

    @property
    def warm_up(self) -> float:
        """Seconds after its start during which no answer is no fault."""

    def check(self, spec: DaemonSpec) -> None:
        """Raise KeelsonError if the settings cannot work, or something that it needs is not installed; changes nothing."""

    def prepare(self, spec: DaemonSpec, port: int) -> Program:
        """Write its configuration, and return what supervisord is to keep running."""

    def update(self, spec: DaemonSpec, port: int) -> bool:
        """Bring one that runs up to date with the specification; True if it must be restarted for that.

        It is also called after a start, for what cannot stand in a configuration.
        """

    def answers(self, spec: DaemonSpec, port: int) -> str:
        """Return nothing if it answers as it should, else what is wrong, in a few words."""


@runtime_checkable
class Explains(Protocol):
    """A kind that knows its program's log better than `keelson.local.root.telling`."""

    def reason(self, lines: Sequence[str]) -> str:
        """Return why it did not start, from what it logged since."""


def kind(name: str) -> Kind:
    """Return the kind `name`. A kind is imported when it is used: what one needs is not loaded for the others."""
    if name == "redis":
        from keelson.local.redis import RedisKind  # noqa: PLC0415

        return RedisKind()
    if name == "pgadmin":
        from keelson.local.pgadmin import PgAdminKind  # noqa: PLC0415

        return PgAdminKind()
    if name == "agent":
        from keelson.local.agent import AgentKind  # noqa: PLC0415

        return AgentKind()
    msg = f"there is no kind of daemon {name!r}"
    raise ValueError(msg)


def check(spec: DaemonSpec) -> None:
    """Check a specification without changing anything; raises KeelsonError."""
    kind(spec.kind).check(spec)


def start(spec: DaemonSpec, chosen: Mapping[str, str] | None = None, *, new_port: bool = False) -> DaemonState:
    """Bring a daemon up as specified, or a running one up to date, and wait as long as its kind is used to.

    Args:
        spec: what it shall be.
        chosen: passwords that the user chose, by login; others are kept, or made.
        new_port: allow another port in place of the recorded one if that was taken while it was down.

    Raises:
        ServerError: it does not start.
        PortInUseError: the port is taken.
        SettingsError: a setting is wrong.
    """
    of_kind, registry = kind(spec.kind), Registry(spec.key)
    of_kind.check(spec)
    with alone(spec.key, spec.name):
        registry.claim(spec.stack_id)
        _keep_passwords(spec, of_kind, chosen or {})
        old = registry.daemon(spec.name)
        pid = supervisor.noted(spec.key, spec.name).pid if old else 0
        keeps = bool(pid) and old is not None and spec.port in (None, old.port)
        choice = ports.Choice(old.port) if old and keeps else ports.choose_again(spec, old, new_port=new_port)
        if old and old.port != choice.port:
            supervisor.stop(spec.key, spec.name)
        registry.record_daemon(spec.stack_id, _record(spec, choice.port))
        launch = Launch.now(spec.key, spec.name)
        supervisor.add_or_update(spec.key, of_kind.prepare(spec, choice.port))
        if pid and supervisor.noted(spec.key, spec.name).pid == pid:
            if of_kind.update(spec, choice.port):
                supervisor.restart(spec.key, spec.name)
            _await_answer(spec, of_kind, choice.port, launch)
        else:
            _await_answer(spec, of_kind, choice.port, launch)
            of_kind.update(spec, choice.port)
        return DaemonState(choice.port, choice.notes)


def start_again(key: str, name: str, *, new_port: bool = False) -> DaemonState:
    """Start a daemon as it was; raises ServerError when the stack has no such daemon."""
    return start(recorded(key, name), new_port=new_port)


def stop(key: str, name: str) -> None:
    """Stop a daemon cleanly; nothing happens if it does not run."""
    with alone(key, name):
        supervisor.stop(key, name)


def remove(key: str, name: str) -> None:
    """Stop a daemon and take it from supervisord and the registry; its data and passwords stay until its volume goes."""
    with alone(key, name):
        supervisor.remove(key, name)
        Registry(key).forget(name)


def look(key: str, name: str, status: ProgramStatus | None = None) -> Part:
    """Return how a daemon is; `status` is supervisor's word where it was asked already."""
    spec, port = recorded(key, name), Registry(key).ports()[name]
    status = status or supervisor.noted(key, name)
    of_kind = kind(spec.kind)
    fault = of_kind.answers(spec, port) if status.pid else _why_down(spec, of_kind, status)
    starting = bool(fault and status.pid) and time.time() - status.started < of_kind.warm_up
    detail = "starting" if starting else f"{fault}; `keelson logs {name}`" if fault else ""
    return Part(
        name=name,
        kind=spec.kind,
        running=bool(status.pid),
        answering=not fault,
        starting=starting,
        port=port,
        detail=detail,
    )


def recorded(key: str, name: str) -> DaemonSpec:
    """Return the specification that a daemon was started with; raises ServerError when the stack has no such daemon."""
    registry = Registry(key)
    record, stack = registry.daemon(name), registry.stack()
    if record is None or stack is None:
        msg = f"stack {key} has no {name} on this machine; run `keelson up`"
        raise ServerError(msg)
    return DaemonSpec(
        key=key,
        stack_id=stack.stack_id,
        name=name,
        kind=record.kind,
        port=record.fixed_port,
        preferred_port=record.preferred_port,
        avoid_ports=record.avoid_ports,
        settings=record.settings,
    )


def _why_down(spec: DaemonSpec, of_kind: Kind, status: ProgramStatus) -> str:
    lines = Launch(supervisor.log_file(spec.key, spec.name), 0, 0).lines() if status.state == "FAILING" else []
    reason = _reason(of_kind, lines) if lines else ""
    return f"{status.state.lower()}: {reason}" if reason else status.state.lower()


def _record(spec: DaemonSpec, port: int) -> DaemonRecord:
    return DaemonRecord(
        name=spec.name,
        kind=spec.kind,
        port=port,
        fixed_port=spec.port,
        preferred_port=spec.preferred_port,
        avoid_ports=spec.avoid_ports,
        settings=dict(spec.settings),
    )


def _keep_passwords(spec: DaemonSpec, of_kind: Kind, chosen: Mapping[str, str]) -> None:
    registry = Registry(spec.key)
    for login in {*of_kind.logins, *chosen}:
        if login in chosen:
            registry.set_password(spec.name, login, chosen[login])
        else:
            registry.ensure_password(spec.name, login)


def _await_answer(spec: DaemonSpec, of_kind: Kind, port: int, launch: Launch) -> None:
    """Wait for an answer, or for the process alone where nobody waits for the answer."""
    deadline = time.monotonic() + (of_kind.patience or LAUNCH_SECONDS)
    while fault := of_kind.answers(spec, port):
        status = supervisor.noted(spec.key, spec.name)
        failed = status.exit_status is not None and status.failures > 0 and status.started >= launch.at
        launched = bool(status.pid) and not of_kind.patience
        if not failed and not launched and time.monotonic() < deadline:
            time.sleep(POLL)
            continue
        if not failed and not of_kind.patience:
            return
        supervisor.stop(spec.key, spec.name)
        reason = (failed and _reason(of_kind, launch.lines())) or fault
        msg = f"{spec.name} does not start: {reason}; see {launch.log} and run `keelson start` again"
        raise ServerError(msg)


def _reason(of_kind: Kind, lines: Sequence[str]) -> str:
    return of_kind.reason(lines) if isinstance(of_kind, Explains) else telling(lines)
