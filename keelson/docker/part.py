"""A part of a stack as a container: what is written before the container is made, and what is done once it runs.

What is the same for all stands here (image, passwords, port, registry, files, waiting for an answer); what is particular to one kind
in a module that `kind` names, with the small interface `Kind`. The container itself is the engine's, made between the two.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from keelson.containers import archive, digest, kinds
from keelson.containers.model import ContainerSettings, Mount, PartSpec
from keelson.docker import daemon, names, toolbox
from keelson.docker.toolbox import File
from keelson.errors import KeelsonError, PortInUseError, UnreachableError
from keelson.local import ports
from keelson.local.ports import Choice
from keelson.local.registry import DaemonRecord, ServerRecord

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

USUAL_ADDRESSES = ("127.0.0.1", "::1", "0.0.0.0", "::")  # noqa: S104 - in each certificate, or no client's
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - of the daemon's machine, which has names that are not known here


@dataclass(frozen=True)
class DockerSpec(PartSpec):
    """One part of a stack, and how it is reached from outside.

    Attributes:
        published: whether it gets a port of the daemon's machine, on `address`.
        address: of the daemon's machine.
        port: the port that the settings demand; None for a free one.
        preferred_port: where to look for a free one first.
        avoid_ports: ports that are the stack's own for something else.
    """

    published: bool = True
    address: str = "127.0.0.1"
    port: int | None = None
    preferred_port: int = 0
    avoid_ports: tuple[int, ...] = ()

    @property
    def known_as(self) -> tuple[str, ...]:
        """By which names its clients reach it."""
        return (self.name, self.container, *(() if self.address in USUAL_ADDRESSES else (self.address,)))

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """By which names its pages may be asked; None where the daemon's machine has names that are not known here."""
        return None if self.address in EVERY_ADDRESS else (self.name, self.address)

    @property
    def label(self) -> str:
        """The stack's key and the part's name."""
        return f"{self.key}/{self.name}"

    @property
    def container(self) -> str:
        """The name of its container."""
        return names.container(self.key, self.name)

    def file(self, text: str, mode: int = 0o600) -> File:
        """Return a file that the part owns."""
        return File(text, self.uid, self.gid, mode)


@dataclass(frozen=True)
class Ground:
    """What a container is made of: its image's id, and its port on the daemon's machine (0: none); and what is to be said."""

    image_id: str
    port: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """A part before its container is made; `digest` changes with its files, and tells nothing of them."""

    image_id: str
    port: int
    digest: str
    notes: tuple[str, ...] = ()


class Kind(kinds.Kind, Protocol):
    """What is particular to one kind of part, on Docker."""

    def before(self, spec: DockerSpec, image_id: str) -> tuple[str, ...]:
        """Do what must be done before a container of another image takes its data over; raises KeelsonError to refuse.

        It is called before each change of the image, and before the first container is made; the old one still runs. Returns
        what the user should know.
        """

    def bring(self, spec: DockerSpec) -> tuple[str, ...]:
        """Wait until the running container answers, and bring it to what its files say now; restart it only if it must be.

        Returns what the user should know.

        Raises:
            ServerError: it does not answer; the sentence says why, from its log.
        """


def kind(name: str) -> Kind:
    """Return the kind `name`. A kind is imported when it is used: what one needs is not loaded for the others."""
    if name == "server":
        from keelson.docker.server import ServerKind  # noqa: PLC0415

        return ServerKind()
    if name == "redis":
        from keelson.docker.redis import RedisKind  # noqa: PLC0415

        return RedisKind()
    if name == "pgadmin":
        from keelson.docker.pgadmin import PgAdminKind  # noqa: PLC0415

        return PgAdminKind()
    if name == "agent":
        from keelson.docker.agent import AgentKind  # noqa: PLC0415

        return AgentKind()
    msg = f"there is no kind of part {name!r}"
    raise ValueError(msg)


def check(spec: DockerSpec) -> None:
    """Check a specification without changing anything, and without the daemon; raises KeelsonError."""
    kind(spec.kind).check(spec)


def container(spec: DockerSpec) -> ContainerSettings:
    """Return what a part's container is like; asks no daemon."""
    return kind(spec.kind).container(spec)


def volumes(key: str, name: str, settings: ContainerSettings) -> dict[str, Mount]:
    """Return where a part's container sees what, by the volume's name, or by a directory of the daemon's machine."""
    return {names.volume(key, name, role): mount for role, mount in settings.volumes.items()}


def tmpfs(settings: ContainerSettings, uid: int, gid: int) -> dict[str, str]:
    """Return mount's options for each file system in memory; a private one is the user's own."""
    return {
        path: f"rw,{'' if each.programs else 'noexec,'}nosuid,nodev,size={each.megabytes}m,"
        + (f"mode=0750,uid={uid},gid={gid}" if each.private else "mode=1777")
        for path, each in settings.memory.items()
    }


def prepare(spec: DockerSpec, chosen_passwords: Mapping[str, str] | None = None) -> Prepared:
    """Do all that comes before the container; see `take_ground` and `write_files`."""
    ground = take_ground(spec)
    digest = write_files(spec, ground.image_id, chosen_passwords or {})
    return Prepared(ground.image_id, ground.port, digest, ground.notes)


def take_ground(spec: DockerSpec) -> Ground:
    """Have the image on the daemon, let the data be made ready for it, and choose the port.

    Raises:
        PlatformError: the daemon has no such image and cannot get it.
        PortInUseError: the port that the settings demand is taken, or none is free.
        KeelsonError: the data cannot be taken over by that image; the running container stays as it is.
    """
    from keelson.docker import images  # noqa: PLC0415

    of_kind = kind(spec.kind)
    of_kind.check(spec)
    with daemon.sentences(spec.place):
        image_id = images.ensure(daemon.connect(spec.place), spec.image)
        old = find_container(spec)
        notes: tuple[str, ...] = ()
        if old is None or old.attrs["Image"] != image_id:
            notes = of_kind.before(spec, image_id)
        choice = _choose_port(spec, of_kind.listens_on, old)
        return Ground(image_id, choice.port, (*notes, *choice.notes))


def write_files(spec: DockerSpec, image_id: str, chosen_passwords: Mapping[str, str]) -> str:
    """Keep or make the passwords, record the part, and write the files that differ from those that lie there; return their digest.

    Args:
        spec: what it shall be.
        image_id: an image that the daemon has.
        chosen_passwords: those that the user chose, by login; others are kept, or made.

    Raises:
        KeelsonError: the settings cannot work; nothing was written.
    """
    of_kind = kind(spec.kind)
    of_kind.check(spec)
    with daemon.sentences(spec.place):
        for login in sorted({*of_kind.logins, *chosen_passwords}):
            chosen = chosen_passwords.get(login)
            toolbox.ask(spec.place, spec.key, "ensure_password", server=spec.name, role=login, chosen=chosen)
        wanted = of_kind.files(spec)
        _record(spec, of_kind.listens_on)
        return digest.told(_write_volume(spec, image_id, wanted)) if wanted else ""


def written(spec: DockerSpec, image_id: str) -> str:
    """Return the digest of the files as it lies beside them; empty where one is missing."""
    if "config" not in container(spec).volumes:
        return ""
    with daemon.sentences(spec.place):
        found = _read_digest(spec, image_id)
    return digest.told(found)


def bring(spec: DockerSpec) -> tuple[int, tuple[str, ...]]:
    """Wait for the running container, and bring it up to date; return its port on the daemon's machine, and what is to be said.

    Raises:
        ServerError: it does not answer.
    """
    with daemon.sentences(spec.place):
        notes = kind(spec.kind).bring(spec)
        return published_port(spec), notes


def forget(spec: DockerSpec) -> None:
    """Strike a part out of the stack's registry, with its passwords where its data go too; fine where the stack is gone."""
    with contextlib.suppress(UnreachableError):
        toolbox.ask(spec.place, spec.key, "forget", name=spec.name)
        if not spec.data_stays:
            toolbox.ask(spec.place, spec.key, "forget_passwords", server=spec.name)


def find_container(spec: DockerSpec) -> Container | None:
    """Return a part's container, running or not."""
    from docker.errors import NotFound  # noqa: PLC0415

    try:
        return daemon.connect(spec.place).containers.get(spec.container)
    except NotFound:
        return None


def published_port(spec: DockerSpec) -> int:
    """Return the port of the daemon's machine that a part's container was made with; 0 for none."""
    found = find_container(spec)
    return _bound_port(found, kind(spec.kind).listens_on) if found else 0


def has_lost_port(spec: DockerSpec) -> bool:
    """Say whether a part's container does not run, and something else has its port."""
    with daemon.sentences(spec.place):
        found = find_container(spec)
        if found is None or found.status == "running" or not daemon.find(spec.place).local:
            return False
        port = _bound_port(found, kind(spec.kind).listens_on)
    return bool(port) and not ports.is_free(port)


def image_present(spec: DockerSpec, image_id: str) -> bool:
    """Say whether the daemon still has an image."""
    from docker.errors import ImageNotFound  # noqa: PLC0415

    with daemon.sentences(spec.place):
        try:
            daemon.connect(spec.place).images.get(image_id)
        except ImageNotFound:
            return False
        return True


def read(spec: DockerSpec, image_id: str, volume: str, path: str) -> File | None:
    """Return a file of a volume, None where it is missing; by a container that is never started.

    Args:
        spec: the part whose volume it is.
        image_id: any image that the daemon has; nothing of it runs.
        volume: the volume's name.
        path: in the volume.
    """
    from docker.errors import NotFound  # noqa: PLC0415

    client = daemon.connect(spec.place)
    if not _has_volume(client, volume):  # which the container would make, without labels
        return None
    mount = {volume: {"bind": "/volume", "mode": "ro"}}
    reader = client.containers.create(
        image_id, ["true"], volumes=mount, network_mode="none", labels=names.scratch(spec.key)
    )
    try:
        blocks, _ = reader.get_archive(f"/volume/{path}")
        with tarfile.open(fileobj=io.BytesIO(b"".join(blocks))) as archive:
            entry = archive.getmembers()[0]
            file = archive.extractfile(entry)
            return File(file.read().decode(), entry.uid, entry.gid, entry.mode) if file else None
    except NotFound:
        return None
    finally:
        reader.remove(force=True, v=True)


def _has_volume(client: DockerClient, name: str) -> bool:
    from docker.errors import NotFound  # noqa: PLC0415

    try:
        client.volumes.get(name)
    except NotFound:
        return False
    return True


def choose_port(spec: DockerSpec) -> int:
    """Return a free port for a part that has no container yet; 0 where it is to have none."""
    with daemon.sentences(spec.place):
        return _choose_port(spec, kind(spec.kind).listens_on, None).port


def _record(spec: DockerSpec, listens_on: int) -> None:
    """Write down where the part answers on the networks."""
    common: dict[str, Any] = {
        "name": spec.name,
        "host": spec.name,
        "port": listens_on,
        "fixed_port": spec.port,
        "preferred_port": spec.preferred_port,
        "avoid_ports": spec.avoid_ports,
    }
    record: ServerRecord | DaemonRecord
    if spec.kind == "server":
        parameters = {name: str(value) for name, value in spec.settings.get("parameters", {}).items()}
        timescale = bool(spec.settings.get("timescaledb"))
        version, certified = str(spec.settings.get("version", "")), tuple(spec.settings.get("certified") or ())
        record = ServerRecord(
            **common,
            version_label=version,
            timescale=timescale,
            parameters=parameters,
            certified=certified,
            pgaudit=bool(spec.settings.get("pgaudit")),
            archiving=spec.settings.get("archiving") or {},
            origin=str(spec.settings.get("origin", "")),
        )
    else:
        record = DaemonRecord(**common, kind=spec.kind, settings=dict(spec.settings))
    operation = "record_server" if spec.kind == "server" else "record_daemon"
    toolbox.ask(spec.place, spec.key, operation, stack_id=spec.stack_id, record=asdict(record))


def _write_volume(spec: DockerSpec, image_id: str, texts: Mapping[str, str]) -> str:
    """Write the files of its configuration if any differs from what lies there; return what lies beside them then."""
    old = _read_digest(spec, image_id)
    new = digest.beside(texts, old, spec.uid, spec.gid)
    if new != old:
        every = {**texts, digest.FILE: new}.items()
        files = {path: spec.file(text, archive.MODES.get(path, 0o600)) for path, text in every}
        toolbox.write(spec.place, spec.key, image_id, {names.config_volume(spec.key, spec.name): files})
    return new


def _read_digest(spec: DockerSpec, image_id: str) -> str:
    found = read(spec, image_id, names.config_volume(spec.key, spec.name), digest.FILE)
    return found.text if found else ""


def _choose_port(spec: DockerSpec, listens_on: int, old: Container | None) -> Choice:
    """Return the port that the part has if that still fits, else a free one of the daemon's machine."""
    if not spec.published:
        return Choice(0)
    local = daemon.find(spec.place).local
    had = _bound_port(old, listens_on) if old else 0
    if old and had and spec.port in {None, had} and (old.status == "running" or not local or ports.is_free(had)):
        return Choice(had)
    taken = _ports_of_others(spec)
    if not local:
        return _choose_far(spec, taken)
    if spec.port is not None and spec.port in taken:
        raise _taken(spec, spec.port, taken[spec.port])
    choice = ports.choose(spec.preferred_port, {*spec.avoid_ports, *taken}, spec.port, mine=spec.label)
    return choice if choice.notes else _with_note(spec, choice.port, taken)


def _choose_far(spec: DockerSpec, taken: Mapping[int, str]) -> Choice:
    """Choose by what the daemon's containers have: what else runs on its machine cannot be seen from here."""
    if spec.port is not None:
        if spec.port in taken:
            raise _taken(spec, spec.port, taken[spec.port])
        return Choice(spec.port)
    busy = {*taken, *spec.avoid_ports}
    free = next(port for port in range(spec.preferred_port, ports.HIGHEST + 1) if port not in busy)
    return _with_note(spec, free, taken)


def _with_note(spec: DockerSpec, port: int, taken: Mapping[int, str]) -> Choice:
    first = next((other for other in range(spec.preferred_port, port) if other in taken), None)
    return Choice(port, (f"port {first} is kept for {taken[first]}; taking {port}",) if first else ())


def _taken(spec: DockerSpec, port: int, by: str) -> KeelsonError:
    return PortInUseError(
        f"port {port} of {spec.name} is kept for {by}; stop that, or set another port in the stack's settings"
    )


def _ports_of_others(spec: DockerSpec) -> dict[int, str]:
    """Return which ports the daemon's other containers have: those that run, and those of stacks also while they are down."""
    client, found = daemon.connect(spec.place), dict[int, str]()
    for each in client.api.containers(all=True):
        labels = each.get("Labels") or {}
        name = each["Names"][0].lstrip("/")
        if name == spec.container:
            continue
        phrase = (
            f"{labels[names.PART_LABEL]} of stack {labels[names.STACK_LABEL]}"
            if {names.PART_LABEL, names.STACK_LABEL} <= labels.keys()
            else name
        )
        numbers = {port["PublicPort"] for port in each.get("Ports") or () if port.get("PublicPort")}
        if names.STACK_LABEL in labels and each["State"] != "running":
            numbers = _bound_ports(client, each["Id"])
        found |= dict.fromkeys(numbers, phrase)
    return found


def _bound_ports(client: DockerClient, container_id: str) -> set[int]:
    """Return the ports that a container was asked to publish; none of one that has just been removed."""
    from docker.errors import NotFound  # noqa: PLC0415

    try:
        inspected = client.api.inspect_container(container_id)
    except NotFound:
        return set()
    bindings = (inspected["HostConfig"].get("PortBindings") or {}).values()
    return {int(each["HostPort"]) for several in bindings for each in several or () if each.get("HostPort")}


def _bound_port(found: Container, listens_on: int) -> int:
    """Return the port under which a container was asked to publish its own; 0 for none."""
    bindings = (found.attrs["HostConfig"].get("PortBindings") or {}).get(f"{listens_on}/tcp") or ()
    return next((int(each["HostPort"]) for each in bindings if each.get("HostPort")), 0)
