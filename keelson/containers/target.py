"""What is the same for every target whose parts run in containers, and whose state and backups are asked for where they lie."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keelson import paths
from keelson.agent import jobs
from keelson.backups import overview
from keelson.entrances import Entrance
from keelson.errors import PlatformError, SettingsError, UnreachableError
from keelson.rotation import Turn
from keelson.target import Address, Certificate, ClientCertificate, Part

if TYPE_CHECKING:
    from keelson.agent.jobs import Job
    from keelson.backups.making import Source
    from keelson.backups.overview import Overview

AT_ONCE = 8  # parts that are asked, started or stopped at the same time
MAJOR = 17  # of the servers
SECONDS_TO_ANSWER = 60.0  # from a container's start
SECONDS_TO_LOOK = 2.4  # at all parts: one that is frozen must not hide the others from `status`
SECONDS_TO_START = 30.0  # within which it is no fault that a part does not answer yet
SECONDS_TO_RESTART = 10.0  # that a connection waits for a container that is started again
RESTARTS = 3  # of a container, from which on waiting is given up
POLL = 0.2
LAST = "server"  # the kind that is stopped after all others
_FIRST = ("server", "redis")

Records = Mapping[str, Mapping[str, Any]]  # the registry's, by part
_lock = threading.Lock()


class ContainerTarget(ABC):
    """What the stack's state and its toolbox know; see `keelson.target.Target` for what each method is for."""

    def __init__(self, place: str) -> None:
        self._place = place

    @abstractmethod
    def locate(self, stack: str, server: str, entrance: Entrance = "primary") -> Address:
        """Return where `server` answers; raises UnreachableError."""

    @property
    @abstractmethod
    def _where(self) -> str:
        """Where the stacks are, for people: `on the Docker daemon at …`."""

    @abstractmethod
    def _ask(self, stack: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
        """Return what an operation of `keelson.inside.operations` answers on the stack's state."""

    @abstractmethod
    def _ask_toolbox(self, stack: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401
        """Return what one answers where the backups lie."""

    @abstractmethod
    def _ask_apart(self, stack: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401
        """Return the same of one that takes long."""

    @abstractmethod
    def _holding_backups(self, stack: str, directory: Path | None) -> str:
        """Return where the backups lie, for people."""

    def instances(self, stack: str, redis: str) -> tuple[Address, ...]:
        """Return where the only instance answers."""
        return (self.locate(stack, redis),)

    def keep_users(self, stack: str, redis: str, rules: Mapping[str, str]) -> None:  # noqa: B027 - one platform has several instances
        """Nothing: there is one instance, which keeps them itself."""

    def password(self, stack: str, server: str, role: str) -> str:
        """Return the password of `role`; raises UnreachableError when there is none."""
        return str(self._ask(stack, "password", server=server, role=role))

    def ensure_password(self, stack: str, server: str, role: str, chosen: str | None) -> str:
        """Keep `chosen`, else the password that is there, else a new one, and return it."""
        return str(self._ask(stack, "ensure_password", server=server, role=role, chosen=chosen))

    def turn(self, stack: str, server: str, service: str) -> Turn:
        """Return which logins of a service are in use."""
        return Turn(**self._ask(stack, "turn", server=server, service=service))

    def hand_out(self, stack: str, server: str, service: str, generation: int, passwords: Mapping[str, str]) -> Turn:
        """Keep new passwords that the server takes already, and let a generation of a service's logins be in use."""
        given = {"generation": generation, "passwords": dict(passwords)}
        return Turn(**self._ask(stack, "hand_out", server=server, service=service, **given))

    def client_certificate(self, stack: str, server: str, login: str) -> ClientCertificate:
        """Return this machine's copies of a login's files; raises UnreachableError where it has none."""
        texts = self._ask(stack, "client_certificate", server=server, login=login)
        folder = authority_file(stack).parent / "clients" / server
        with _lock:
            paths.private_directory(folder)
            for ending, text in texts.items():
                paths.write_private(folder / f"{login}.{ending}", text)
        return ClientCertificate(certificate=folder / f"{login}.crt", key=folder / f"{login}.key")

    def client(self, program: str) -> list[str]:
        """Return the private root's program, else this machine's own; raises PlatformError where there is none that fits."""
        from keelson.local import client  # noqa: PLC0415

        with contextlib.suppress(PlatformError):
            return client.command(program)
        found = shutil.which(program)
        if found and (program.startswith("redis") or _major(found) >= MAJOR):
            return [found]
        msg = (
            f"this machine has no {program} of version {MAJOR} or later; install one, or run it in the stack's toolbox"
        )
        raise PlatformError(msg)

    def certificates(self, stack: str) -> tuple[Certificate, ...]:
        """Return the certificates of the stack's servers; none while the state cannot be asked."""
        try:
            found = self._ask(stack, "certificates")
        except (UnreachableError, PlatformError):
            return ()
        return tuple(
            Certificate(
                server=each["server"],
                begins=datetime.fromisoformat(each["begins"]),
                expires=datetime.fromisoformat(each["expires"]),
            )
            for each in found
        )

    def authority(self, stack: str) -> str:
        """Return the certificate that the stack's servers are verified against."""
        return str(self._ask(stack, "authority"))

    def put_job(self, stack: str, job: Job) -> None:
        """Write a job down for who runs it."""
        self._ask(stack, "put_job", job=asdict(job))

    def find_job(self, stack: str, name: str) -> Job | None:
        """Return one job; None if it is not written down, or so that nobody can read it."""
        found = self._ask(stack, "find_job", name=name)
        return jobs.from_values(found) if found else None

    def drop_job(self, stack: str, name: str) -> None:
        """Strike a job out."""
        self._ask(stack, "drop_job", name=name)

    def back_up(self, source: Source, reason: str, directory: Path | None) -> str:
        """Make a backup in the toolbox, apart from what others ask, and say where it lies."""
        reference = source.reference
        path = self._ask_apart(
            reference.stack,
            "back_up",
            engine=source.engine,
            reference=reference.as_input(),
            reason=reason,
            directory=str(directory or ""),
        )
        return f"{path} on {self._holding_backups(reference.stack, directory)}"

    def backups(self, stack: str, services: Sequence[str], directory: Path | None) -> Overview:
        """Return what is known of the backups."""
        found = self._ask_toolbox(stack, "overview", names=[*services], directory=str(directory or ""))
        return replace(overview.from_values(found), directory=self._holding_backups(stack, directory))

    def _records(self, stack: str) -> dict[str, dict[str, Any]]:
        """Return the registry's records by part, servers first, each with its kind."""
        found = self._ask(stack, "records")
        servers = {name: {**record, "kind": "server"} for name, record in found["servers"].items()}
        return {**servers, **found["daemons"]}

    def _known_records(self, stack: str) -> Records:
        """Return the same; nothing where the state cannot be asked."""
        with contextlib.suppress(UnreachableError):
            return self._records(stack)
        return {}

    def _record(self, stack: str, server: str) -> dict[str, Any]:
        """Return the record of a part; raises UnreachableError where there is none."""
        record = self._records(stack).get(server)
        if record is None:
            msg = f"stack {stack} has no server {server} {self._where}; run `keelson up`"
            raise UnreachableError(msg)
        return record

    def root_certificate(self, stack: str, record: Mapping[str, Any]) -> Path | None:
        """Return what a part is verified against on this machine; None where connections to it are not encrypted."""
        return self._authority(stack) if is_encrypted(record) else None

    def _authority(self, stack: str) -> Path:
        """Return this machine's copy of the certificate that the stack's servers are verified against."""
        path = authority_file(stack)
        text = self.authority(stack)
        with _lock:
            if not path.exists() or path.read_text(encoding="ascii") != text:
                paths.private_directory(path.parent)
                paths.write_private(path, text)
        return path


def authority_file(stack: str) -> Path:
    """Return where this machine keeps its copy of a stack's authority's certificate."""
    return paths.state() / "stacks" / stack / "tls" / "ca.crt"


def looked_at(until: float, parts: Iterable[str], records: Records, look: Callable[[str], Part]) -> tuple[Part, ...]:
    """Return what `look` sees of each part, all at once; one that takes longer than `until` does not answer."""
    pool = ThreadPoolExecutor(AT_ONCE)
    looks = {name: pool.submit(look, name) for name in parts}
    pool.shutdown(wait=False)
    return tuple(_seen_until(until, each, name, records.get(name)) for name, each in looks.items())


def named_parts(known: Sequence[str], stack: str, parts: Sequence[str]) -> list[str]:
    """Return the parts that are named, all where none is; raises SettingsError for one that the stack does not have."""
    for part in parts:
        if part not in known:
            msg = f"stack {stack} has no part {part!r}; it has {', '.join(known) or 'none, run `keelson up`'}"
            raise SettingsError(msg)
    return [*parts] or [*known]


def is_encrypted(record: Mapping[str, Any]) -> bool:
    """Say whether connections to a part are encrypted, by its record."""
    told = record.get("settings") or {}
    return record["kind"] == "server" or (record["kind"] == "redis" and bool(told.get("tls")))


def kind_of(name: str, record: Mapping[str, Any] | None) -> str:
    """Return the kind of a part, also where the registry says nothing of it."""
    if record:
        return str(record["kind"])
    return name if name in {"pgadmin", "agent"} else "server"


def rank(kind: str) -> int:
    """Return when parts of a kind are started, among the others."""
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST)


def _seen_until(until: float, look: Future[Part], name: str, record: Mapping[str, Any] | None) -> Part:
    try:
        return look.result(max(0.0, until - time.monotonic()))
    except TimeoutError:
        detail = f"does not answer; see `keelson logs {name}`"
        return Part(name=name, kind=kind_of(name, record), running=True, answering=False, detail=detail)


@functools.cache
def _major(program: str) -> int:
    done = subprocess.run(
        [program, "--version"], check=False, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
    )
    version = next((word for word in done.stdout.split() if word[:1].isdigit()), "0")
    return int(version.partition(".")[0])
