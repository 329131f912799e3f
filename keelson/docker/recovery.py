"""A server as it was at a moment, made of its archive on a Docker daemon: a container beside the live one, or other data in its volume.

Each step that touches volumes runs in a short container of its own (`keelson.inside.restoring`), as the server's own user. What is made
beside a server is no resource of the engine: it goes with the resource that stands for the archive.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from keelson.backups.physical import planning
from keelson.backups.physical.archiving import ARCHIVE
from keelson.backups.physical.planning import Planned, Reached, Side
from keelson.containers.archive import DATA
from keelson.containers.model import CONFIG
from keelson.docker import archive_room, containers, creating, daemon, names, part, toolbox
from keelson.docker.part import DockerSpec
from keelson.endpoint import Reference
from keelson.errors import BackupError, KeelsonError, ServerError
from keelson.inside import session
from keelson.inside.restoring import RESTORING, VARIABLE
from keelson.local.spec import NAME
from keelson.postgres.admission import LOOPBACK, rules
from keelson.settings.networks import PRIVATE

BEFORE, STAMP = "pgdata.before-", "%Y%m%dt%H%M%Sz"
COMMAND = ("python3", "-I", "-m", "keelson.inside.restoring")
LONGEST = 24 * 3600  # seconds of one step
AS_ROOT = {"exchange", "put_back"}  # they rename in the volume's own directory, which belongs to root
WORDS = 400  # of the log, where a step did not answer


@dataclass(frozen=True)
class Live:
    """A server that runs, or ran: what it is as a part, and what its container is made of."""

    spec: DockerSpec
    container: Any

    @property
    def image(self) -> str:
        """The id of its image."""
        return str(self.container.attrs["Image"])


def find(place: str, key: str, name: str) -> Live:
    """Return a server of a stack; raises ServerError."""
    record = _records(place, key).get(name)
    if record is None or record["origin"]:
        known = ", ".join(each for each, told in _records(place, key).items() if not told["origin"]) or "none"
        msg = f"stack {key} has no server {name!r} on the Docker daemon at {daemon.find(place).host}; it has {known}"
        raise ServerError(msg)
    container = containers_of(place, key, name)
    if container is None:
        msg = f"the container of {name} is missing; run `keelson up -- --refresh`"
        raise ServerError(msg)
    return Live(_spec(place, key, record, container), container)


def containers_of(place: str, key: str, name: str) -> Any:  # noqa: ANN401 - a container of docker-py, or None
    """Return a part's container, running or not; None where it is missing."""
    from docker.errors import NotFound  # noqa: PLC0415

    with daemon.sentences(place):
        try:
            return daemon.connect(place).containers.get(names.container(key, name))
        except NotFound:
            return None


def _records(place: str, key: str) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = toolbox.ask(place, key, "records")["servers"]
    return found


def _spec(place: str, key: str, record: Mapping[str, Any], container: Any) -> DockerSpec:  # noqa: ANN401
    uid, gid = (int(number) for number in container.attrs["Config"]["User"].split(":"))
    bound = (container.attrs["HostConfig"].get("PortBindings") or {}).get(f"{record['port']}/tcp") or ()
    settings = {
        "version": record["version_label"],
        "parameters": record["parameters"],
        "timescaledb": record["timescale"],
        "pgaudit": record["pgaudit"],
        "archiving": record["archiving"],
        "certified": record["certified"],
    }
    return DockerSpec(
        place,
        key,
        str(toolbox.ask(place, key, "register", environment="")),
        str(record["name"]),
        "server",
        str(container.attrs["Config"]["Image"]),
        uid,
        gid,
        settings,
        published=bool(bound),
        address=bound[0]["HostIp"] if bound else "127.0.0.1",
        preferred_port=int(record["preferred_port"]),
        avoid_ports=tuple(record["avoid_ports"]),
    )


def beside(live: Live, moment: datetime | None, *, into: str = "", cluster: str = "") -> Side:
    """Make a server beside the live one; see `keelson.backups.physical.archives.Archives.beside`."""
    began, place, key, name = time.monotonic(), live.spec.place, live.spec.key, live.spec.name
    side = into or f"{name}-at-{moment or datetime.now(UTC):{STAMP}}"
    _refuse_name(live, side)
    planned = _plan(live, moment, cluster)
    spec = replace(live.spec, name=side, settings=_quiet(live.spec), port=None)
    try:
        prepared = _prepare(live, spec)
        volume = names.data_volume(key, side)
        last = _reach(live, planned, volume)
        _step(live, volume, "exchange", before=BEFORE)
        creating.create(spec, prepared, live.container)
        part.bring(spec)
    except BaseException:
        remove(place, key, side)
        raise
    containers.forget(place, key)
    return Side(side, part.published_port(spec), Reached(planned.backup, last, time.monotonic() - began))


def in_place(live: Live, moment: datetime | None, *, cluster: str = "") -> tuple[Reached, str]:
    """Put it into the live one's place; see `keelson.backups.physical.archives.Archives.in_place`."""
    began, key, name = time.monotonic(), live.spec.key, live.spec.name
    planned = _plan(live, moment, cluster)
    volume, stopping = names.data_volume(key, name), part.container(live.spec).stop_timeout
    last = _reach(live, planned, volume)
    before = f"{BEFORE}{datetime.now(UTC):{STAMP}}"
    live.container.stop(timeout=stopping)  # which sends the rest of the log
    since = datetime.now(UTC)
    try:
        _step(live, volume, "exchange", before=before)
    except KeelsonError:
        live.container.start()
        raise
    try:
        live.container.start()
        part.bring(live.spec)
    except KeelsonError:
        live.container.stop(timeout=stopping)
        _step(live, volume, "put_back", before=before)
        live.container.start()
        raise
    _step(live, volume, "note", since=since.isoformat())
    return Reached(planned.backup, last, time.monotonic() - began), f"kept as {before} on the volume {volume}"


def discard(place: str, key: str, name: str, side: str) -> None:
    """Take a server away that was made beside a live one; raises ServerError where it is not one of those."""
    known = sides(place, key, name)
    if side not in known:
        msg = f"{side!r} was not restored beside {name}; of that there are: {', '.join(known) or 'none'}"
        raise ServerError(msg)
    remove(place, key, side)


def sides(place: str, key: str, name: str) -> list[str]:
    """Return the servers that were made beside a live one."""
    return [each for each, record in _records(place, key).items() if record["origin"] == name]


def remove(place: str, key: str, side: str) -> None:
    """Remove the container, its volumes, and what the stack knows of it; what is not there is no fault."""
    from docker.errors import NotFound  # noqa: PLC0415

    client = daemon.connect(place)
    with daemon.sentences(place):
        if (container := containers_of(place, key, side)) is not None:
            container.remove(force=True, v=True)
        for volume in (names.data_volume(key, side), names.config_volume(key, side)):
            with contextlib.suppress(NotFound):
                client.volumes.get(volume).remove()
    toolbox.ask(place, key, "forget", name=side)
    toolbox.ask(place, key, "forget_passwords", server=side)
    containers.forget(place, key)


def _refuse_name(live: Live, side: str) -> None:
    spec = live.spec
    found = toolbox.ask(spec.place, spec.key, "records")
    taken = {*found["servers"], *found["daemons"], names.TOOLBOX}
    if not NAME.fullmatch(side) or side in taken or containers_of(spec.place, spec.key, side) is not None:
        msg = f"{side!r} cannot name a server beside {spec.name}: use at most 40 of a-z, 0-9, '_' and '-' that no part of the stack has, with --into"
        raise ServerError(msg)


def _quiet(spec: DockerSpec) -> dict[str, Any]:
    """Return the settings of a server that archives nothing, runs no job, and lets in administrators alone."""
    parameters = {**spec.settings["parameters"], "max_worker_processes": "0"}
    hba = [*rules("hostssl", (*LOOPBACK, *PRIVATE), ())]
    return {
        **spec.settings,
        "parameters": parameters,
        "hba": hba,
        "archiving": {},
        "certified": (),
        "origin": spec.name,
    }


def _prepare(live: Live, spec: DockerSpec) -> part.Prepared:
    """Make the volumes, and write what the server reads."""
    client = daemon.connect(spec.place)
    labels = names.labels(spec.key, spec.name)
    with daemon.sentences(spec.place):
        for volume in (names.data_volume(spec.key, spec.name), names.config_volume(spec.key, spec.name)):
            client.volumes.create(volume, labels=labels)
    port = part.choose_port(spec)
    digest = part.write_files(spec, live.image, {})
    return part.Prepared(live.image, port, digest)


def _plan(live: Live, moment: datetime | None, cluster: str) -> Planned:
    """Choose a backup, once the archive knows on which timeline the live data are."""
    spec = live.spec
    _step(live, names.data_volume(spec.key, spec.name), "note")
    reference = Reference(stack=spec.key, target=spec.place, server=spec.name).as_input()
    wanted = {"moment": moment.isoformat() if moment else "", "cluster": cluster}
    return planning.from_values(toolbox.ask_apart(spec.place, spec.key, "plan_restore", reference=reference, **wanted))


def _reach(live: Live, planned: Planned, volume: str) -> datetime | None:
    """Restore beside the data of a volume, and go forward there; return the last transaction's time."""
    spec, goal = live.spec, planning.values(planned)["goal"]
    files = archive_room.work(spec) | {f"{RESTORING}/": spec.file("", 0o700)}
    toolbox.write(spec.place, spec.key, live.image, {volume: files})
    last = _step(live, volume, "reach", server=spec.name, cluster=planned.cluster, goal=goal)
    return datetime.fromisoformat(last) if last else None


def _step(live: Live, volume: str, step: str, **asked: Any) -> Any:  # noqa: ANN401 - what it answers
    """Do a step in a container that sees the data on `volume`, the live server's configuration, and its archive."""
    with daemon.sentences(live.spec.place), _helper(live, volume, {"step": step, **asked}) as helper:
        helper.start()
        helper.wait(timeout=LONGEST)
        said = helper.logs(stdout=True, stderr=False).decode(errors="replace").strip()
        told = helper.logs(stdout=False, stderr=True).decode(errors="replace").strip()
    try:
        return session.result(json.loads(said.splitlines()[-1]))
    except (IndexError, ValueError):
        msg = f"the restore of {live.spec.name} did not answer ({(told or said)[-WORDS:]!r}); try again"
        raise BackupError(msg) from None


@contextlib.contextmanager
def _helper(live: Live, volume: str, asked: Mapping[str, Any]) -> Iterator[Any]:
    from docker.errors import APIError  # noqa: PLC0415

    spec, client = live.spec, daemon.connect(live.spec.place)
    as_root = asked["step"] in AS_ROOT
    name = f"{spec.key}-{spec.name}-restore"
    _refuse_another(live, name)
    mounts = {
        volume: {"bind": DATA, "mode": "rw"},
        names.config_volume(spec.key, spec.name): {"bind": CONFIG, "mode": "ro"},
        names.archive_volume(spec.key, spec.name): {"bind": str(ARCHIVE), "mode": "rw"},
    }
    try:
        made = client.containers.create(
            toolbox.find(spec.place, spec.key).attrs["Image"],
            [*COMMAND],
            name=name,
            environment={VARIABLE: json.dumps(asked)},
            user="0:0" if as_root else f"{spec.uid}:{spec.gid}",
            cap_add=["DAC_OVERRIDE"] if as_root else None,
            volumes=mounts,
            tmpfs={"/tmp": "rw,noexec,nosuid,nodev,size=64m,mode=1777"},  # noqa: S108 - inside the container
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            labels={names.STACK_LABEL: spec.key},
        )
    except APIError as fault:
        if fault.status_code == 409:  # noqa: PLR2004 - a conflict of names
            raise _busy(live) from None
        raise
    try:
        yield made
    finally:
        made.remove(force=True, v=True)


def _refuse_another(live: Live, name: str) -> None:
    from docker.errors import NotFound  # noqa: PLC0415

    with contextlib.suppress(NotFound):
        found = daemon.connect(live.spec.place).containers.get(name)
        if found.status == "running":
            raise _busy(live)
        found.remove(force=True, v=True)  # of a command that was killed


def _busy(live: Live) -> BackupError:
    return BackupError(f"another restore of {live.spec.name} is at work; wait for its end")
