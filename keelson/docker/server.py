"""What Docker has to do around a PostgreSQL server's container; what is in it stands in `keelson.containers.server`."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg

from keelson.containers import server as neutral
from keelson.containers.model import PartSpec
from keelson.containers.server import (
    DIRECTORY,
    INSIDE,
    PORT,
    REPAIR,
    SECONDS_TO_RECOVER,
    SECONDS_TO_STOP,
    server_of,
)
from keelson.docker import archive_room as archives
from keelson.docker import daemon, names, part, toolbox
from keelson.docker.images import recipes
from keelson.docker.part import DockerSpec
from keelson.docker.toolbox import ExecStream, File
from keelson.endpoint import Reference, resolve
from keelson.errors import BackupError, PortInUseError, ServerError, SettingsError, UnreachableError
from keelson.local import configuration
from keelson.local.root import telling
from keelson.timescale import updates

if TYPE_CHECKING:
    from docker.models.containers import Container

SECONDS_TO_ANSWER = 120  # a server that neither ends nor recovers must answer within; the first start makes its data
SECONDS_OF_A_TRIAL = 60
RESTARTS = 2  # after so many ends in a row it is not waited for any longer
LOG_LINES = 60
BESIDE = re.compile(
    r"the database system is|\b(?:HINT|DETAIL|CONTEXT|STATEMENT):"
)  # told to early clients, or no reason
POLL = 0.05
READ = """
set -e
printf '%s' "$TRIAL" >/tmp/trial.conf
postgres -C port -D /tmp -c config_file=/tmp/trial.conf >/dev/null
"""
START = """
initdb -D /tmp/trial --no-sync --no-instructions --auth=reject >/dev/null
cd /tmp
postgres --single -D /tmp/trial -c config_file=/tmp/trial.conf postgres </dev/null >/dev/null 2>said || {
    grep FATAL said >&2 || cat said >&2
    exit 1
}
"""
STARTED = {  # parameters whose value may be well formed and yet let no server start
    *("shared_preload_libraries", "shared_buffers", "huge_pages", "huge_page_size", "wal_buffers", "max_connections"),
    *(
        "max_locks_per_transaction",
        "max_pred_locks_per_transaction",
        "max_prepared_transactions",
        "max_worker_processes",
    ),
    *("max_wal_senders", "min_dynamic_shared_memory", "shared_memory_type", "dynamic_shared_memory_type"),
    *("max_replication_slots", "autovacuum_max_workers", "superuser_reserved_connections", "reserved_connections"),
}


class ServerKind(neutral.ServerKind):
    """See `keelson.docker.part.Kind` for what each method is for."""

    def before(self, spec: DockerSpec, image_id: str) -> tuple[str, ...]:
        """Make the place of the data, or see that the image can take over what is there, and back that up first."""
        volume = names.data_volume(spec.key, spec.name)
        known = part.read(spec, image_id, volume, f"{DIRECTORY}/PG_VERSION")
        if known is None:
            toolbox.write(spec.place, spec.key, image_id, {volume: {f"{DIRECTORY}/": spec.file("", 0o700)}})
            return ()
        new = _version(spec, image_id)
        _refuse_other_major(spec, known.text.strip(), new)
        _refuse_other_user(spec, known)
        old = part.find_container(spec)
        if old is None:
            return ()
        _back_up(spec)
        return _told(spec, _version(spec, old.attrs["Image"]), new)

    def files(self, spec: PartSpec) -> Mapping[str, str]:
        """Return its configuration, once PostgreSQL itself has read the parameters, and its image is known to archive."""
        if spec.settings.get("archiving"):
            archives.require_engine(spec, lambda *command: _run(spec, spec.image, [*command]))
            archives.make_room(spec)
        if spec.settings.get("parameters") or _may_lack_pgaudit(spec):
            _try(spec)
        return super().files(spec)

    def bring(self, spec: DockerSpec) -> tuple[str, ...]:
        """Wait for an answer, update TimescaleDB in its databases, let it read its files, and restart it if PostgreSQL asks for that."""
        notes = _await_answer(spec)
        if spec.settings.get("timescaledb"):
            notes = (*notes, *updates.update(_reference(spec)))
        with _connect(spec) as connection:
            waiting = configuration.reload(connection, spec.name)
        if waiting:
            _running(spec).restart(timeout=SECONDS_TO_STOP)
            notes = (*notes, f"restarted for {', '.join(waiting)}", *_await_answer(spec))
        return notes


@dataclass(frozen=True)
class Version:
    """Of PostgreSQL, for example 17.11."""

    major: int
    minor: int

    def __str__(self) -> str:
        """Return both numbers."""
        return f"{self.major}.{self.minor}"

    @property
    def number(self) -> tuple[int, int]:
        """What sorts as versions do."""
        return self.major, self.minor


# Before a container of another image


def _version(spec: DockerSpec, image_id: str) -> Version:
    """Return which PostgreSQL an image has, by its variables, else by asking its program."""
    image = daemon.connect(spec.place).images.get(image_id)
    variables = dict(line.partition("=")[::2] for line in image.attrs["Config"].get("Env") or ())
    text = variables.get("PG_VERSION", "")
    if not (found := re.match(r"(\d+)\.(\d+)", text)):
        status, text = _run(spec, image_id, ["postgres", "--version"])
        found = re.search(r"(\d+)\.(\d+)", text)
        if status or not found:
            msg = f"server {spec.name}: the image {spec.image} has no PostgreSQL ({text.strip()}); name another one"
            raise SettingsError(msg)
    return Version(int(found[1]), int(found[2]))


def _refuse_other_major(spec: DockerSpec, known: str, new: Version) -> None:
    if known != str(new.major):
        msg = (
            f"server {spec.name}: its data are of PostgreSQL {known}, and the image {spec.image} has {new}; keep an image of {known}, "
            f"or back up with `keelson backup run`, and restore into a new server"
        )
        raise ServerError(msg)


def _refuse_other_user(spec: DockerSpec, known: File) -> None:
    if known.uid != spec.uid:
        msg = (
            f"server {spec.name}: its data belong to user {known.uid}, and the image {spec.image} works as user {spec.uid}; "
            f"set uid: {known.uid} and gid: {known.gid} beside the image's reference in keelson:docker.image"
        )
        raise SettingsError(msg)


def _told(spec: DockerSpec, old: Version, new: Version) -> tuple[str, ...]:
    if new.number < old.number:
        return (f"goes back from PostgreSQL {old} to {new}, as the image {spec.image} has it",)
    return (f"goes from PostgreSQL {old} to {new}",) if old != new else ()


def _back_up(spec: DockerSpec) -> None:
    try:
        toolbox.ask_apart(spec.place, spec.key, "back_up_server", server=spec.name)
    except (BackupError, UnreachableError) as fault:
        msg = f"server {spec.name} keeps its image, as no backup could be made before the change: {fault}"
        raise BackupError(msg) from None


def _try(spec: PartSpec) -> None:
    """Let the image's PostgreSQL read the parameters, and start with those that it cannot judge by reading, on data of its own.

    Raises:
        SettingsError: it refuses them; the sentence has its own words.
    """
    server = server_of(spec)
    text = configuration.render({**configuration.values(server, PORT, INSIDE), "ssl": "off"})
    starts = not STARTED.isdisjoint(name.lower() for name in server.parameters) or _may_lack_pgaudit(spec)
    steps = READ + START if starts else READ
    status, said = _run(spec, spec.image, ["sh", "-c", steps], {"TRIAL": text})
    if status:
        msg = f"server {spec.name}: PostgreSQL did not read its parameters ({said.strip()}); look at the image {spec.image}"
        raise configuration.refused(server, said) or ServerError(msg)


def _may_lack_pgaudit(spec: PartSpec) -> bool:
    """Say whether a server shall load pgAudit from an image of which only its user says that it is there."""
    return bool(spec.settings.get("pgaudit")) and not spec.image.startswith(f"{recipes.REPOSITORY}/")


def _run(spec: PartSpec, image: str, command: list[str], variables: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a command in a container of its own; return its exit status and what it wrote."""
    made = daemon.connect(spec.place).containers.create(
        image,
        entrypoint=command,
        command=[],
        environment={**(variables or {})},
        user=f"{spec.uid}:{spec.gid}",
        network_mode="none",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        labels=names.scratch(spec.key),
    )
    try:
        made.start()
        status = int(made.wait(timeout=SECONDS_OF_A_TRIAL)["StatusCode"])
        return status, made.logs().decode(errors="replace")
    finally:
        made.remove(force=True, v=True)


# Once it runs


def _await_answer(spec: DockerSpec) -> tuple[str, ...]:
    """Wait until the administrator is let in; return what was repaired for that.

    Raises:
        ServerError: it ends again and again, was never started, or does not answer in time.
    """
    begun, patience, notes = time.monotonic(), SECONDS_TO_ANSWER, list[str]()
    first = _running(spec).attrs
    while True:
        try:
            _connect(spec).close()
            return tuple(notes)
        except UnreachableError as fault:
            said = str(fault)
        if "starting up" in said or "recovery" in said:
            patience = SECONDS_TO_RECOVER
        found = _running(spec)
        _repair(spec, found, said, notes)
        if int(found.attrs["RestartCount"]) - int(first["RestartCount"]) >= RESTARTS:
            raise _failure(spec, found, first, "does not start", said)
        if time.monotonic() - begun > patience:
            raise _failure(spec, found, first, "does not answer", said)
        time.sleep(POLL)


def _connect(spec: DockerSpec) -> psycopg.Connection:
    return resolve(_reference(spec)).connect(patience=0)


def _reference(spec: DockerSpec) -> Reference:
    return Reference(stack=spec.key, target=spec.place, server=spec.name)


def _running(spec: DockerSpec) -> Container:
    """Return the container, which runs or is about to; raises ServerError with the reason where it does not."""
    found = part.find_container(spec)
    if found is None:
        msg = f"the container of server {spec.name} is missing; run `keelson up -- --refresh`"
        raise ServerError(msg)
    if found.status in {"running", "restarting"}:
        return found
    told = str(found.attrs["State"].get("Error") or "")
    if found.status == "created" and ("already allocated" in told or "already in use" in told):
        msg = f"server {spec.name} was never started: {told}; stop what has the port, or set another one in the stack's settings"
        raise PortInUseError(msg)
    raise _failure(spec, found, found.attrs, f"is {found.status}", told, "keelson start")


def _failure(  # noqa: PLR0913, PLR0917 - what a sentence is made of
    spec: DockerSpec, found: Container, since: Mapping[str, Any], what: str, said: str, step: str = "keelson up"
) -> ServerError:
    """Return why it fails, by what it logged since the start that `since` knows of."""
    told = telling([line for line in _log(found, since) if not BESIDE.search(line)])
    reason = known[1] if (known := configuration.SAID.search(told)) else told
    reason = reason or said or "it said nothing"
    return ServerError(f"server {spec.name} {what}: {reason}; see `keelson logs {spec.name}`, and run `{step}`")


def _log(found: Container, since: Mapping[str, Any]) -> list[str]:
    started = datetime.fromisoformat(since["State"]["StartedAt"][:19]).replace(tzinfo=UTC).timestamp()
    return found.logs(since=int(max(started, 0)), tail=LOG_LINES).decode(errors="replace").splitlines()


def _repair(spec: DockerSpec, found: Container, said: str, done: list[str]) -> None:
    """Do once what lets the administrator in again, and add to `done` what that was."""
    if (repair := neutral.repair(spec, said)) and repair[0] not in done:
        note, statements = repair
        _ask_inside(spec, found, statements)
        done.append(note)


def _ask_inside(spec: DockerSpec, found: Container, statements: str) -> None:
    stream = ExecStream(daemon.connect(spec.place), found, REPAIR)
    try:
        stream.write(statements.encode())
        while stream.read():
            pass
        if stream.status():
            said = telling(stream.said.decode(errors="replace").splitlines())
            msg = f"server {spec.name} cannot be repaired from inside its container ({said}); see `keelson logs {spec.name}`"
            raise ServerError(msg)
    finally:
        stream.close()
