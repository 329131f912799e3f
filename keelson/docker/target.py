"""The target `docker`: servers and daemons as containers of a Docker daemon."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keelson import paths
from keelson.agent import jobs
from keelson.backups import overview
from keelson.backups.disks import Disks
from keelson.backups.overview import Overview
from keelson.docker import containers, daemon, harm, names, purging, relay, toolbox
from keelson.docker.containers import Publication, Seen
from keelson.errors import PlatformError, SettingsError, UnreachableError
from keelson.inside.looks import fault_of
from keelson.target import Address, Certificate, Part

if TYPE_CHECKING:
    from docker.models.containers import Container

    from keelson.agent.jobs import Job
    from keelson.backups.making import Source

LOOPBACK = "127.0.0.1"
ANY = ("0.0.0.0", "::")  # noqa: S104 - read from the daemon, not bound
AT_ONCE = 8  # parts that are asked, started or stopped at the same time
MAJOR = 17  # of the servers
SECONDS_TO_ANSWER = 60.0  # from a container's start
SECONDS_TO_LOOK = 2.4  # at all parts: one that is frozen must not hide the others from `status`
SECONDS_TO_START = 30.0  # within which it is no fault that a part does not answer yet
SECONDS_TO_RESTART = 10.0  # that a connection waits for a container that the daemon starts again
SECONDS_OF_SCRATCH = 120.0  # after which a container that reads or writes files has been forgotten
SECONDS_TO_STOP = {"server": 60}
USUAL_SECONDS_TO_STOP = 10
RESTARTS = 3  # of a container, from which on waiting is given up
POLL = 0.2
_FIRST, _LAST = ("server", "redis"), "server"
_lock = threading.Lock()


class DockerTarget:
    """What a Docker daemon and the stack's toolbox know; see `keelson.target.Target` for what each method is for."""

    def __init__(self, place: str) -> None:
        self._place = place

    def locate(self, stack: str, server: str) -> Address:
        """Return where `server` answers: its published port where this machine reaches that, else a way through the toolbox."""
        records = self._records(stack)
        if (record := records.get(server)) is None:
            msg = f"stack {stack} has no server {server} on the Docker daemon at {self._host}; run `keelson up`"
            raise UnreachableError(msg)
        root = self._authority(stack) if record["kind"] == "server" else None
        inner = int(record["port"])
        found = self._reachable(self._running(stack, server).publication(inner))
        if found:
            return Address(host=found.address, port=found.port, root_certificate=root)
        port = relay.port(self._place, stack, record["host"], inner)
        return Address(host=relay.LOOPBACK, port=port, root_certificate=root, fleeting=True)

    def password(self, stack: str, server: str, role: str) -> str:
        """Return the password of `role`; raises UnreachableError when there is none."""
        return str(toolbox.ask(self._place, stack, "password", server=server, role=role))

    def ensure_password(self, stack: str, server: str, role: str, chosen: str | None) -> str:
        """Keep `chosen`, else the password that is there, else a new one, and return it."""
        return str(toolbox.ask(self._place, stack, "ensure_password", server=server, role=role, chosen=chosen))

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

    def parts(self, stack: str) -> tuple[Part, ...]:
        """Return the stack's parts as they are now, servers first, with those whose container is gone."""
        until = time.monotonic() + SECONDS_TO_LOOK
        found = containers.look(self._place, stack)
        records: Mapping[str, Mapping[str, Any]] = {}
        with contextlib.suppress(UnreachableError):  # then every part says that the toolbox does not run
            records = self._records(stack) if found else {}
        parts = dict.fromkeys([*records, *(name for name in found if name != names.TOOLBOX)])
        pool = ThreadPoolExecutor(AT_ONCE)
        looks = {name: pool.submit(self._part, stack, name, records.get(name), found.get(name)) for name in parts}
        pool.shutdown(wait=False)
        return tuple(_seen_until(until, look, name, records.get(name)) for name, look in looks.items())

    def start(self, stack: str, parts: Sequence[str] = (), *, new_port: bool = False) -> tuple[str, ...]:  # noqa: ARG002
        """Start containers that do not run, the toolbox first, and wait until they answer; say which do not.

        That is no error: an `up` may mend it, with more memory for one thing.
        """
        found = containers.look(self._place, stack)
        if not found and not parts:
            return ()
        purging.sweep(self._place, stack, older_than=SECONDS_OF_SCRATCH)
        chosen = self._chosen(found, stack, parts)
        notes = self._run([found[names.TOOLBOX]]) if names.TOOLBOX in found else []
        kinds = self._kinds(stack, chosen)
        notes += self._run(sorted(chosen, key=lambda seen: _rank(kinds.get(seen.part, ""))))
        containers.forget(self._place, stack)
        if kinds and not notes:
            notes = self._await(stack, [seen.part for seen in chosen if not seen.healthy], kinds)
        return tuple(notes)

    def is_harmed(self, stack: str, parts: Sequence[str], *, new_port: bool) -> bool:
        """Say whether a container, volume or network is missing."""
        return harm.is_harmed(self._place, stack, parts, new_port=new_port)

    def stop(self, stack: str, parts: Sequence[str] = ()) -> None:
        """Stop containers, servers last; with the last part the toolbox."""
        found = containers.look(self._place, stack)
        chosen = [seen for seen in self._chosen(found, stack, parts) if seen.state not in {"exited", "created", "dead"}]
        kinds = self._kinds(stack, chosen)
        last = [seen for seen in chosen if kinds.get(seen.part, _LAST) == _LAST]
        for tier in ([seen for seen in chosen if seen not in last], last):
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(lambda seen: self._stop(seen, kinds.get(seen.part, _LAST)), tier))
        if not parts and names.TOOLBOX in found:
            self._stop(found[names.TOOLBOX], names.TOOLBOX)
        containers.forget(self._place, stack)

    def certificates(self, stack: str) -> tuple[Certificate, ...]:
        """Return the certificates of the stack's servers; none while the toolbox does not run."""
        try:
            found = toolbox.ask(self._place, stack, "certificates")
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

    def show_log(self, stack: str, part: str, lines: int, *, follow: bool) -> None:
        """Print what the daemon kept of the container's output, and what comes until an interrupt."""
        found = containers.look(self._place, stack)
        seen = found[part] if part == names.TOOLBOX and part in found else self._chosen(found, stack, [part])[0]
        with daemon.sentences(self._place), contextlib.suppress(KeyboardInterrupt):
            for block in self._container(seen).logs(stream=True, follow=follow, tail=lines):
                sys.stdout.buffer.write(block)
                sys.stdout.buffer.flush()

    def locate_inside(self, stack: str, server: str) -> Address:
        """Return the part's name on the stack's network; an application there has no file of ours to verify it by."""
        if (record := self._records(stack).get(server)) is None:
            msg = f"stack {stack} has no server {server} on the Docker daemon at {self._host}; run `keelson up`"
            raise UnreachableError(msg)
        return Address(host=record["host"], port=int(record["port"]), encrypted=record["kind"] == "server")

    def authority(self, stack: str) -> str:
        """Return the certificate that the stack's servers are verified against."""
        return str(toolbox.ask(self._place, stack, "authority"))

    def run_inside(self, stack: str, arguments: Sequence[str | Path], *, reads: bool = False) -> int:
        """Run the command in the toolbox."""
        from keelson.docker import shell  # noqa: PLC0415

        return shell.run(self._place, stack, arguments, reads=reads)

    def put_job(self, stack: str, job: Job) -> None:
        """Write a job down for the agent."""
        toolbox.ask(self._place, stack, "put_job", job=asdict(job))

    def find_job(self, stack: str, name: str) -> Job | None:
        """Return one job; None if it is not written down, or so that nobody can read it."""
        found = toolbox.ask(self._place, stack, "find_job", name=name)
        return jobs.from_values(found) if found else None

    def drop_job(self, stack: str, name: str) -> None:
        """Strike a job out."""
        toolbox.ask(self._place, stack, "drop_job", name=name)

    def back_up(self, source: Source, reason: str, directory: Path | None) -> str:
        """Make a backup in the toolbox, apart from what others ask, and say where it lies."""
        reference = source.reference
        path = toolbox.ask_apart(
            self._place,
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
        found = toolbox.ask(self._place, stack, "overview", names=[*services], directory=str(directory or ""))
        return replace(overview.from_values(found), directory=self._holding_backups(stack, directory))

    def disks(self, stack: str, backups: Path | None, data: Sequence[Path]) -> Disks:  # noqa: ARG002
        """Return what is known of the disks of the stack's volumes."""
        found = Disks(**toolbox.ask(self._place, stack, "disks", directory=str(backups or "")))
        return replace(found, data=f"the Docker volumes at {self._host}", backups=self._holding_backups(stack, backups))

    def platform(self) -> str:
        """Return the daemon's version and address."""
        client = daemon.connect(self._place)
        with daemon.sentences(self._place):
            return f"Docker Engine {client.version()['Version']} at {self._host}"

    @staticmethod
    def _holding_backups(stack: str, directory: Path | None) -> str:
        return str(directory / stack) if directory else f"the volume {names.backups_volume(stack)}"

    @property
    def _host(self) -> str:
        return daemon.find(self._place).host

    def _records(self, stack: str) -> dict[str, dict[str, Any]]:
        """Return the registry's records by part, servers first, each with its kind."""
        found = toolbox.ask(self._place, stack, "records")
        servers = {name: {**record, "kind": "server"} for name, record in found["servers"].items()}
        return {**servers, **found["daemons"]}

    def _kinds(self, stack: str, seen: Sequence[Seen]) -> dict[str, str]:
        """Return the kinds of parts, as far as they are known; a toolbox that does not run knows none."""
        if not seen:
            return {}
        with contextlib.suppress(UnreachableError):
            return {name: record["kind"] for name, record in self._records(stack).items()}
        return {}

    def _authority(self, stack: str) -> Path:
        """Return this machine's copy of the certificate that the stack's servers are verified against."""
        path = authority_file(stack)
        text = toolbox.ask(self._place, stack, "authority")
        with _lock:
            if not path.exists() or path.read_text(encoding="ascii") != text:
                paths.private_directory(path.parent)
                paths.write_private(path, text)
        return path

    def _running(self, stack: str, part: str) -> Seen:
        """Return the part's container, waiting a while for one that the daemon starts again; raises UnreachableError."""
        until = time.monotonic() + SECONDS_TO_RESTART
        while True:
            seen = containers.of_stack(self._place, stack).get(part)
            if seen is None:
                msg = f"the container of {part} is missing; run `keelson up -- --refresh`"
                raise UnreachableError(msg)
            if seen.running:
                return seen
            if seen.state != "restarting" or time.monotonic() > until:
                msg = f"{part} is {seen.state}; {_step(part, seen.state)}"
                raise UnreachableError(msg)
            time.sleep(POLL)

    def _reachable(self, publication: Publication | None) -> Publication | None:
        """Return where this machine reaches a published port, None where it cannot."""
        if publication is None:
            return None
        local = daemon.find(self._place).local
        if publication.address in ANY:
            return Publication(publication.inner, LOOPBACK, publication.port) if local else None
        loopback = publication.address.startswith("127.") or publication.address == "::1"
        return publication if local or not loopback else None

    def _part(self, stack: str, name: str, record: Mapping[str, Any] | None, seen: Seen | None) -> Part:
        kind = record["kind"] if record else _kind_of(name)
        if seen is None:
            detail = "its container is missing; run `keelson up -- --refresh`"
            return Part(name=name, kind=kind, running=False, answering=False, detail=detail)
        published = self._reachable(seen.publication(int(record["port"]))) if record else None
        port = published.port if published else None
        if not seen.running:
            state = self._state(seen)
            detail = f"{_ended(name, seen.state, state)}; {_step(name, seen.state)}"
            running = seen.state in {"restarting", "paused"}
            return Part(name=name, kind=kind, running=running, answering=False, port=port, detail=detail)
        fault = fault_of(self, stack, kind, name)
        if not fault:
            detail = f"but its health check fails; see `docker inspect {seen.name}`" if seen.unhealthy else ""
            return Part(name=name, kind=kind, running=True, answering=True, port=port, detail=detail)
        state = self._state(seen)
        tried = seen.healthy or seen.unhealthy or state.get("RestartCount")
        starting = _age(state) < SECONDS_TO_START and not tried
        detail = "; ".join([fault, *_history(state), f"see `keelson logs {name}`"])
        return Part(name=name, kind=kind, running=True, answering=False, starting=starting, port=port, detail=detail)

    def _state(self, seen: Seen) -> dict[str, Any]:
        """Return what the daemon knows of a container's process, with `RestartCount`; nothing of one that has just gone."""
        client = daemon.connect(self._place)
        try:
            with daemon.sentences(self._place):
                found = client.api.inspect_container(seen.id)
        except PlatformError:
            return {}
        return {**found["State"], "RestartCount": found.get("RestartCount", 0)}

    def _chosen(self, found: Mapping[str, Seen], stack: str, parts: Sequence[str]) -> list[Seen]:
        known = [name for name in found if name != names.TOOLBOX]
        for part in parts:
            if part not in known:
                msg = f"stack {stack} has no part {part!r}; it has {', '.join(known) or 'none, run `keelson up`'}"
                raise SettingsError(msg)
        return [found[name] for name in parts or known]

    def _container(self, seen: Seen) -> Container:
        return daemon.connect(self._place).containers.get(seen.id)

    def _run(self, chosen: Sequence[Seen]) -> list[str]:
        """Start the containers that do not run; return a sentence for each that cannot be."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [said for said in pool.map(self._start, chosen) if said]

    def _start(self, seen: Seen) -> str:
        if seen.state in {"running", "restarting"}:
            return ""
        try:
            with daemon.sentences(self._place):
                container = self._container(seen)
                if seen.state == "paused":
                    container.unpause()
                else:
                    container.start()
        except PlatformError as fault:
            return f"{seen.part} cannot be started: {_mended(seen, str(fault))}"
        return ""

    def _await(self, stack: str, parts: Sequence[str], kinds: Mapping[str, str]) -> list[str]:
        """Wait until parts answer; return a sentence for each that does not."""
        until = time.monotonic() + SECONDS_TO_ANSWER

        def answers(part: str) -> str:
            while fault := fault_of(self, stack, kinds.get(part, ""), part):
                if time.monotonic() > until or self._hopeless(stack, part):
                    return f"{part} does not answer: {fault.partition('; see')[0]}; see `keelson logs {part}`"
                time.sleep(POLL)
            return ""

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [fault for fault in pool.map(answers, parts) if fault]

    def _hopeless(self, stack: str, part: str) -> bool:
        """Say whether a part's container has ended, or ends again and again."""
        seen = containers.look(self._place, stack).get(part)
        if seen is None or seen.state in {"exited", "dead"}:
            return True
        return seen.state == "restarting" and int(self._state(seen).get("RestartCount", 0)) > RESTARTS

    def _stop(self, seen: Seen, kind: str) -> None:
        with daemon.sentences(self._place):
            container = self._container(seen)
            if seen.state == "paused":
                container.unpause()
            given = container.attrs["Config"].get("StopTimeout")
            usual = SECONDS_TO_STOP.get(kind, USUAL_SECONDS_TO_STOP)
            container.stop(timeout=1 if kind == names.TOOLBOX else given or usual)


def authority_file(stack: str) -> Path:
    """Return where this machine keeps its copy of a stack's authority's certificate."""
    return paths.state() / "stacks" / stack / "tls" / "ca.crt"


def _seen_until(until: float, look: Future[Part], name: str, record: Mapping[str, Any] | None) -> Part:
    """Return what was seen of a part; one that takes longer does not answer."""
    try:
        return look.result(max(0.0, until - time.monotonic()))
    except TimeoutError:
        kind = record["kind"] if record else _kind_of(name)
        detail = f"does not answer; see `keelson logs {name}`"
        return Part(name=name, kind=kind, running=True, answering=False, detail=detail)


@functools.cache
def _major(program: str) -> int:
    done = subprocess.run(
        [program, "--version"], check=False, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
    )
    version = next((word for word in done.stdout.split() if word[:1].isdigit()), "0")
    return int(version.partition(".")[0])


def _kind_of(name: str) -> str:
    """Return the kind of a part of which the registry says nothing."""
    return name if name in {"pgadmin", "agent"} else "server"


def _rank(kind: str) -> int:
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST)


def _age(state: Mapping[str, Any]) -> float:
    """Return for how many seconds a container runs, by this machine's clock."""
    begun = str(state.get("StartedAt", ""))[:19]  # down to the second
    try:
        return time.time() - datetime.fromisoformat(f"{begun}+00:00").timestamp()
    except ValueError:
        return SECONDS_TO_START


def _ended(name: str, status: str, state: Mapping[str, Any]) -> str:
    if status == "paused":
        return f"{name} is paused"
    words = [f"exited with status {state['ExitCode']}" if status == "exited" and "ExitCode" in state else status]
    return ", ".join([*words, *_history(state)])


def _history(state: Mapping[str, Any]) -> list[str]:
    """Return what befell a container, in a few words each."""
    told = []
    if state.get("OOMKilled"):
        told.append("it was killed for want of memory, so give it more (`memory` in the settings)")
    if count := state.get("RestartCount"):
        told.append(f"it was restarted {count} times")
    if error := str(state.get("Error") or ""):
        told.append(" ".join(error.split()))
    return told


def _step(part: str, state: str) -> str:
    return f"see `keelson logs {part}`" if state == "restarting" else f"run `keelson start {part}`"


def _mended(seen: Seen, fault: str) -> str:
    """Return a fault with what to do about it."""
    if "network" in fault and "not found" in fault:
        return f"its network was removed; run `docker rm {seen.name}` and `keelson up -- --refresh`"
    if "already allocated" in fault or "address already in use" in fault:
        return f"{fault}; end what holds the port, or run `keelson up --new-port`"
    return fault
