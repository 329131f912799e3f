"""The target `docker`: servers and daemons as containers of a Docker daemon."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keelson.backups.disks import Disks
from keelson.containers.target import (
    AT_ONCE,
    LAST,
    POLL,
    RESTARTS,
    SECONDS_TO_ANSWER,
    SECONDS_TO_LOOK,
    SECONDS_TO_RESTART,
    SECONDS_TO_START,
    ContainerTarget,
    is_encrypted,
    kind_of,
    looked_at,
    named_parts,
    rank,
)
from keelson.docker import containers, daemon, harm, names, purging, relay, toolbox
from keelson.docker.containers import Publication, Seen
from keelson.entrances import Entrance, host_of
from keelson.errors import PlatformError, UnreachableError
from keelson.inside.looks import fault_of
from keelson.target import Address, Part

if TYPE_CHECKING:
    from docker.models.containers import Container

    from keelson.docker.archives import DockerArchives

LOOPBACK = "127.0.0.1"
ANY = ("0.0.0.0", "::")  # noqa: S104 - read from the daemon, not bound
SECONDS_OF_SCRATCH = 120.0  # after which a container that reads or writes files has been forgotten
SECONDS_TO_STOP = {"server": 60}
USUAL_SECONDS_TO_STOP = 10
KILLED = 137  # the exit status of a process that SIGKILL ended


class DockerTarget(ContainerTarget):
    """What a Docker daemon and the stack's toolbox know; see `keelson.target.Target` for what each method is for."""

    def locate(self, stack: str, server: str, entrance: Entrance = "primary") -> Address:
        """Return where `server` answers: its published port where this machine reaches that, else a way through the toolbox."""
        record = self._record(stack, server)
        root = self.root_certificate(stack, record)
        host, inner = host_of(record, entrance, stack), int(record["port"])
        certified = tuple(record.get("certified") or ())
        found = self._reachable(self._running(stack, server).publication(inner))
        if found:
            return Address(host=found.address, port=found.port, root_certificate=root, certified=certified)
        port = relay.port(self._place, stack, host, inner)
        return Address(host=relay.LOOPBACK, port=port, root_certificate=root, fleeting=True, certified=certified)

    def parts(self, stack: str) -> tuple[Part, ...]:
        """Return the stack's parts as they are now, servers first, with those whose container is gone."""
        until = time.monotonic() + SECONDS_TO_LOOK
        found = containers.look(self._place, stack)
        records = (
            self._known_records(stack) if found else {}
        )  # without them every part says that the toolbox does not run
        parts = dict.fromkeys([*records, *(name for name in found if name != names.TOOLBOX)])
        return looked_at(
            until, parts, records, lambda name: self._part(stack, name, records.get(name), found.get(name))
        )

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
        notes += self._run(sorted(chosen, key=lambda seen: rank(kinds.get(seen.part, ""))))
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
        last = [seen for seen in chosen if kinds.get(seen.part, LAST) == LAST]
        for tier in ([seen for seen in chosen if seen not in last], last):
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(lambda seen: self._stop(seen, kinds.get(seen.part, LAST)), tier))
        if not parts and names.TOOLBOX in found:
            self._stop(found[names.TOOLBOX], names.TOOLBOX)
        containers.forget(self._place, stack)

    def await_end(self, stack: str) -> None:
        """Wait for nothing: the engine does."""

    def show_log(self, stack: str, part: str, lines: int, *, follow: bool) -> None:
        """Print what the daemon kept of the container's output, and what comes until an interrupt."""
        found = containers.look(self._place, stack)
        seen = found[part] if part == names.TOOLBOX and part in found else self._chosen(found, stack, [part])[0]
        with daemon.sentences(self._place), contextlib.suppress(KeyboardInterrupt):
            for block in self._container(seen).logs(stream=True, follow=follow, tail=lines):
                sys.stdout.buffer.write(block)
                sys.stdout.buffer.flush()

    def locate_inside(self, stack: str, server: str, entrance: Entrance = "primary") -> Address:
        """Return the part's name on the stack's network; an application there has no file of ours to verify it by."""
        record = self._record(stack, server)
        host = host_of(record, entrance, stack)
        certified = tuple(record.get("certified") or ())
        return Address(host=host, port=int(record["port"]), encrypted=is_encrypted(record), certified=certified)

    def run_inside(self, stack: str, arguments: Sequence[str | Path], *, reads: bool = False) -> int:
        """Run the command in the toolbox."""
        from keelson.docker import shell  # noqa: PLC0415

        return shell.run(self._place, stack, arguments, reads=reads)

    def disks(self, stack: str, backups: Path | None, data: Sequence[Path]) -> Disks:  # noqa: ARG002
        """Return what is known of the disks of the stack's volumes."""
        found = Disks(**toolbox.ask(self._place, stack, "disks", directory=str(backups or "")))
        return replace(found, data=f"the Docker volumes at {self._host}", backups=self._holding_backups(stack, backups))

    def archives(self) -> DockerArchives:
        """Return what is done with volumes and containers."""
        from keelson.docker.archives import DockerArchives  # noqa: PLC0415 - most commands do without

        return DockerArchives(self._place)

    def platform(self) -> str:
        """Return the daemon's version and address."""
        client = daemon.connect(self._place)
        with daemon.sentences(self._place):
            return f"Docker Engine {client.version()['Version']} at {self._host}"

    @property
    def _host(self) -> str:
        return daemon.find(self._place).host

    @property
    def _where(self) -> str:
        return f"on the Docker daemon at {self._host}"

    def _ask(self, stack: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
        return toolbox.ask(self._place, stack, operation, **arguments)

    def _ask_toolbox(self, stack: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401
        return toolbox.ask(self._place, stack, operation, **arguments)

    def _ask_apart(self, stack: str, operation: str, **arguments: Any) -> Any:  # noqa: ANN401
        return toolbox.ask_apart(self._place, stack, operation, **arguments)

    def _holding_backups(self, stack: str, directory: Path | None) -> str:
        return str(directory / stack) if directory else f"the volume {names.backups_volume(stack)}"

    def _kinds(self, stack: str, seen: Sequence[Seen]) -> dict[str, str]:
        """Return the kinds of parts, as far as they are known; a toolbox that does not run knows none."""
        return {name: record["kind"] for name, record in self._known_records(stack).items()} if seen else {}

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
        kind = kind_of(name, record)
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
        return [found[name] for name in named_parts([name for name in found if name != names.TOOLBOX], stack, parts)]

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
    if state.get("ExitCode") == KILLED and not state.get("OOMKilled"):  # the daemon may miss why, or hear it later
        words.append("it was killed by somebody, or for want of memory")
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
