"""The archives of servers of several instances: the key to their bucket, how they are, and their backups.

What sends and restores is CloudNativePG's plugin (`keelson.kubernetes.barman`); it is asked by the operator's objects, and tells by theirs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from keelson.backups.overdue import PATIENCE, is_since
from keelson.backups.physical import waiting
from keelson.backups.physical.state import ArchiveState
from keelson.backups.physical.waiting import Waiting
from keelson.backups.terms import SECRET
from keelson.endpoint import Reference, resolve
from keelson.errors import BackupError
from keelson.kubernetes import barman, cluster, names, state
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.workloads import OPERATORS_API
from keelson.schedule import Schedule

STAMP = "%Y%m%dt%H%M%Sz"
SHOWN = "%Y-%m-%d %H:%M"
SECONDS_TO_SEND = 150.0  # until the last file of the log must have arrived
SECONDS_OF_TROUBLE = 60.0  # that the log does not arrive, as while another instance takes over
POLL = 0.5
DONE, FAILED = "completed", "failed"
UNBOUND = 2**62  # bytes that may wait: nothing is dropped, the volume of the log is what there is
_NOW = "SELECT clock_timestamp()"
_END = "SELECT pg_current_xact_id()"  # a transaction by which PostgreSQL recognises that a moment before it is reached
_SWITCH = "SELECT pg_walfile_name(pg_switch_wal())"
_SENT = "SELECT last_archived_wal FROM pg_stat_archiver"


@dataclass(frozen=True)
class Made:
    """One backup of a whole server, as the operator's object tells it.

    Attributes:
        name: of the object.
        label: what the archive calls it; empty while it is made.
        begun: when it was begun; None before it is.
        ended: from when on it can be restored to; None where it is not complete.
        fault: why it failed; else empty.
    """

    name: str
    label: str
    begun: datetime | None
    ended: datetime | None
    fault: str = ""


@dataclass(frozen=True)
class Window:
    """One archive of a server: its name in the bucket, whether the server sends to it now, and from when on can be restored."""

    name: str
    present: bool
    first: datetime | None
    last: datetime | None = None  # backup that was made
    failed: datetime | None = None  # backup that was not


def write_key(place: str, key: str, server: str, *, access_key: str, secret: str, region: str) -> None:  # noqa: PLR0913 - its fields
    """Write what the plugin reads to reach the bucket; an empty secret is the one that was set before.

    Raises:
        KeelsonError: none was ever set, or the cluster refuses.
    """
    if secret:
        state.ask(place, key, "ensure_password", server=SECRET, role=access_key, chosen=secret)
    kept = state.ask(place, key, "password", server=SECRET, role=access_key)
    found = cluster.connect(place)
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": names.archive(server), "labels": names.labels(key, server) | {"cnpg.io/reload": "true"}},
        "stringData": {barman.ACCESS_KEY: access_key, barman.SECRET_KEY: kept, barman.REGION: region},
    }
    found.apply(found.at("secrets", names.archive(server)), body)


def drop_key(place: str, server: str) -> None:
    """Delete it; a second time is fine."""
    found = cluster.connect(place)
    found.delete(found.at("secrets", names.archive(server)))


def has_key(place: str, server: str) -> bool:
    """Say whether it is there."""
    found = cluster.connect(place)
    return found.get(found.at("secrets", names.archive(server)), metadata=True) is not None


def unfit(found: Cluster, key: str, server: str, *, archived: bool) -> list[str]:
    """Return the instances that have not been made anew yet to send to the archive, or to do without one."""
    listed = found.items(found.at("pods"), names.selector(key, server))
    of_instances = [each for each in listed if names.ROLE_LABEL in each["metadata"]["labels"]]
    return [each["metadata"]["name"] for each in of_instances if _sends(each) != archived]


def stuck(found: Cluster, server: str) -> str:
    """Return why the log does not arrive in the bucket, by the operator's own words; nothing where it does."""
    made = found.get(found.at("clusters", names.of(server), api=OPERATORS_API)) or {}
    status = made.get("status") or {}
    told = {each["type"]: each for each in status.get("conditions") or ()}.get("ContinuousArchiving", {})
    if told.get("status") == "True":
        return ""
    said = told.get("message") or "the operator says nothing of it"
    primary = status.get("currentPrimary", f"{names.of(server)}-1")
    look = found.kubectl(f"logs {primary} -c plugin-barman-cloud")
    return (
        f"its log does not arrive in the bucket ({said}): `{look}` says why. If it says 'Expected empty archive', that is the archive of a server "
        "that was there before: give keelson:point_in_time.archive another name"
    )


def send(connection: psycopg.Connection) -> datetime | None:
    """End what is written with a transaction, and wait until that is archived; return the time before it, None where it is not in time."""
    asked = connection.execute(_NOW).fetchone()
    connection.execute(_END)
    file = connection.execute(_SWITCH).fetchone()
    until = time.monotonic() + SECONDS_TO_SEND
    while time.monotonic() < until:
        row = connection.execute(_SENT).fetchone()
        if asked and file and row and row[0] and str(row[0])[8:24] >= str(file[0])[8:]:
            moment: datetime = asked[0]
            return moment.astimezone(UTC)
        time.sleep(POLL)
    return None


def back_up(place: str, key: str, server: str) -> Made:
    """Have a whole server backed up now, and wait until that is done; raises BackupError where it cannot be."""
    found = cluster.connect(place)
    name = f"{names.of(server)}-{datetime.now(UTC):{STAMP}}"
    body = {
        "apiVersion": OPERATORS_API,
        "kind": "Backup",
        "metadata": {"name": name, "labels": names.labels(key, server)},
        "spec": barman.backup(server),
    }
    found.create(found.at(barman.BACKUPS, api=OPERATORS_API), body)
    working = time.monotonic()  # when the log was seen to arrive
    while not (made := _made(_told(found, server, name))).ended:
        if made.fault:
            look = found.kubectl(f"describe backup {name}")
            msg = f"{server} was not backed up: {made.fault}; see `{look}`, earlier backups are as they were"
            raise BackupError(msg)
        if not (said := stuck(found, server)):
            working = time.monotonic()
        elif time.monotonic() - working > SECONDS_OF_TROUBLE:
            msg = f"{server} is not backed up, as {said}; the backup {name} is made as soon as it does"
            raise BackupError(msg)
        time.sleep(POLL)
    return made


def _told(found: Cluster, server: str, name: str) -> Json:
    told = found.get(found.at(barman.BACKUPS, name, api=OPERATORS_API))
    if told is None:
        msg = f"the backup {name} of {server} was deleted while it was made; run `keelson backup run --server {server}` again"
        raise BackupError(msg)
    return told


def backups(place: str, server: str) -> list[Made]:
    """Return the backups of a server that the operator knows, the oldest first; raises KeelsonError."""
    found = cluster.connect(place)
    listed = found.items(found.at(barman.BACKUPS, api=OPERATORS_API))
    ours = [_made(each) for each in listed if each["spec"]["cluster"]["name"] == names.of(server)]
    return sorted(ours, key=lambda each: (each.begun or datetime.now(UTC), each.name))


def windows(place: str, server: str, archive: str) -> list[Window]:
    """Return the archives of a server, the one that it sends to now last.

    Args:
        place: the cluster.
        server: its name.
        archive: what the settings call the archives of now.

    Raises:
        KeelsonError: the cluster cannot be asked.
    """
    found = cluster.connect(place)
    present = barman.archive_of(server, archive)
    told = barman.windows(found.get(found.at(barman.STORES, names.archive(server), api=barman.API)))
    before = [_window(name, told) for name in told if name != present]
    return [*before, _window(present, told, present=True)]


def look(reference: Reference, archive: str, schedule: str) -> ArchiveState:
    """Return how the archive of a server is.

    Args:
        reference: the server.
        archive: what the settings call the archives of now.
        schedule: when it is backed up, in UTC.

    Raises:
        KeelsonError, psycopg.Error: it cannot be asked.
    """
    found, server, now = cluster.connect(reference.target), reference.server, datetime.now(UTC)
    window = windows(reference.target, server, archive)[-1]
    with resolve(reference).connect("keelson archive", patience=0) as connection:
        connection.execute("SET statement_timeout = '2s'")
        told = waiting.ask(connection, UNBOUND)
    fault = _stuck(found, server, told) or _late(server, window, Schedule(schedule, "UTC"), now)
    return ArchiveState(server, window.last, told, fault)


def _stuck(found: Cluster, server: str, told: Waiting) -> str:
    said = stuck(found, server)
    late = told.oldest is not None and (told.at - told.oldest).total_seconds() > waiting.PATIENCE
    if not (said or (told.waiting and (told.failing or late))):
        return ""
    why = (
        said
        or f"its log does not arrive in the bucket: `{found.kubectl(f'describe cluster {names.of(server)}')}` says why"
    )
    return f"the archive of {server} is stuck: {told.bytes / 2**20:.0f} MiB of the log wait on its volume, and a full one stops the server; {why}"


def _late(server: str, window: Window, schedule: Schedule, now: datetime) -> str:
    again = f"run `keelson backup run --server {server}`"
    if window.failed and (window.last is None or window.failed > window.last):
        return f"the backup of server {server} of {window.failed:{SHOWN}} UTC failed; {again}"
    if window.last is None:
        return f"the archive of {server} has no backup yet to begin from; {again}"
    due = schedule.before(now - PATIENCE)
    if is_since(window.last, due, now):
        return ""
    return f"a backup of server {server} was due at {due:{SHOWN}} UTC, and the last one is of {window.last:{SHOWN}} UTC; {again}"


def _sends(pod: Json) -> bool:
    spec = pod["spec"]
    return any("plugin-barman-cloud" in each["name"] for each in [*spec["containers"], *spec.get("initContainers", ())])


def _made(told: Json) -> Made:
    status = told.get("status") or {}
    phase = status.get("phase", "")
    fault = (status.get("error") or "the operator says no more") if phase == FAILED else ""
    ended = _time(status.get("stoppedAt")) if phase == DONE else None
    return Made(told["metadata"]["name"], status.get("backupId", ""), _time(status.get("startedAt")), ended, fault)


def _window(name: str, told: Mapping[str, Mapping[str, str]], *, present: bool = False) -> Window:
    each = told.get(name, {})
    times = (
        _time(each.get(key)) for key in ("firstRecoverabilityPoint", "lastSuccessfulBackupTime", "lastFailedBackupTime")
    )
    return Window(name, present, *times)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
