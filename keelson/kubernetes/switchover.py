"""Another instance of a server takes its writes: asked of the operator by the Cluster's status, as its own program asks.

While it happens a few bytes are written again and again, so that it is known for how long writes were away.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from keelson.endpoint import Endpoint, Reference, resolve
from keelson.errors import ServerError, SettingsError, UnreachableError
from keelson.kubernetes import cluster, names, workloads
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.faults import ConflictError

PHASE = "Switchover in progress"  # as the operator calls it
SECONDS_TO_SWITCH = 120.0
SECONDS_OF_A_WRITE = 5.0  # after which it is tried again
PAUSE = 0.02  # between two writes
POLL = 0.2
ATTEMPTS = 5  # where the operator writes the status at the same time
_FOLLOWING = """\
SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'
ORDER BY sync_state = 'async', replay_lsn DESC NULLS LAST, application_name"""
_WRITE = "SELECT pg_logical_emit_message(true, 'keelson', 'switchover')"  # a commit that leaves nothing but its log


@dataclass(frozen=True)
class Instances:
    """A server's instances, as the operator sees them.

    Attributes:
        primary: the one that takes writes.
        wanted: the one that shall.
        all: their names.
        ready: those that serve.
        phase: what the operator is at.
        version: of the Cluster.
    """

    primary: str
    wanted: str
    all: tuple[str, ...]
    ready: tuple[str, ...]
    phase: str
    version: str


@dataclass(frozen=True)
class Switch:
    """A switchover to come."""

    reference: Reference
    old: str
    new: str


def plan(reference: Reference, to: str = "") -> Switch:
    """Return the switchover to the instance `to`, else to the replica that has most of the log; changes nothing.

    Raises:
        SettingsError: there is no such instance, or it is the primary.
        ServerError: the server has no instances, or this one is not ready.
        UnreachableError: the primary does not answer.
    """
    seen = look(reference)
    if seen.wanted != seen.primary:
        msg = f"{reference.server} is switching over to {seen.wanted} already ({seen.phase}); wait until it has"
        raise ServerError(msg)
    if to and to not in seen.all:
        msg = f"{reference.server} has no instance {to!r}; it has {', '.join(seen.all)}"
        raise SettingsError(msg)
    if to == seen.primary:
        msg = f"{to} takes the writes of {reference.server} already; name another one of {', '.join(seen.all)}"
        raise SettingsError(msg)
    following = [each for each in _following(reference) if each in seen.ready]
    if to and to not in following:
        msg = f"{to} is not ready to take over: it does not follow {seen.primary} at this moment; see `keelson status`"
        raise ServerError(msg)
    if not following:
        msg = f"{reference.server} has no replica that is ready to take over from {seen.primary}; see `keelson status`"
        raise ServerError(msg)
    return Switch(reference, seen.primary, to or following[0])


def switch_over(switch: Switch) -> float:
    """Have it done, and wait until the new primary takes writes; return for how many seconds none was acknowledged.

    Raises:
        ServerError: it was not done in time, or the old one takes no writes to begin with.
    """
    writes = _Writes(resolve(switch.reference))
    try:
        writes.start()
        writes.await_one(time.monotonic() + SECONDS_OF_A_WRITE)
        _ask(switch)
        _await(switch, writes)
    finally:
        writes.over.set()
    return writes.longest


def look(reference: Reference) -> Instances:
    """Return the server's instances as they are now; raises ServerError where it has none."""
    found = cluster.connect(reference.target)
    seen = found.get(_path(found, reference))
    if seen is None:
        msg = f"{reference.server} is no server of several instances in namespace {found.namespace} of the cluster {found.name}; run `keelson up`"
        raise ServerError(msg)
    return _instances(seen)


def _instances(seen: Json) -> Instances:
    status = seen.get("status") or {}
    reason = status.get("phaseReason")
    return Instances(
        primary=str(status.get("currentPrimary", "")),
        wanted=str(status.get("targetPrimary", "")),
        all=tuple(sorted(status.get("instanceNames") or ())),
        ready=tuple((status.get("instancesStatus") or {}).get("healthy") or ()),
        phase=f"{status.get('phase', 'no phase')}{f': {reason}' if reason else ''}",
        version=str(seen["metadata"]["resourceVersion"]),
    )


def _path(found: Cluster, reference: Reference) -> str:
    """Return the path of the status: with it alone, the right to change a Cluster is not needed."""
    return f"{found.at('clusters', names.of(reference.server), api=workloads.OPERATORS_API)}/status"


def _following(reference: Reference) -> list[str]:
    """Return the replicas that get the log as it is written, those first that must have it and those with most of it."""
    with resolve(reference).connect("keelson switchover") as primary:
        return [str(name) for (name,) in primary.execute(_FOLLOWING)]


def _ask(switch: Switch) -> None:
    found = cluster.connect(switch.reference.target)
    for attempt in range(ATTEMPTS):
        seen = look(switch.reference)
        if (seen.primary, seen.wanted) != (switch.old, switch.old):
            msg = f"{switch.reference.server} has another primary by now ({seen.primary}); run the command again"
            raise ServerError(msg)
        wanted = {
            "targetPrimary": switch.new,
            "targetPrimaryTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "phase": PHASE,
            "phaseReason": f"Switching over to {switch.new}",
        }
        try:
            found.patch(
                _path(found, switch.reference), {"metadata": {"resourceVersion": seen.version}, "status": wanted}
            )
        except ConflictError:
            if attempt + 1 == ATTEMPTS:
                raise
        else:
            return


def _await(switch: Switch, writes: _Writes) -> None:
    """Wait until the operator names the new primary, and a write is acknowledged after that."""
    until = time.monotonic() + SECONDS_TO_SWITCH
    while (seen := look(switch.reference)).primary != switch.new:
        if time.monotonic() > until:
            found = cluster.connect(switch.reference.target)
            show = found.kubectl(f"describe clusters.postgresql.cnpg.io {names.of(switch.reference.server)}")
            msg = f"{switch.new} has not taken over from {switch.old} within {SECONDS_TO_SWITCH:.0f} s ({seen.phase}); see `{show}`"
            raise ServerError(msg)
        time.sleep(POLL)
    writes.await_one(until)


class _Writes(threading.Thread):
    """Write a few bytes again and again through the name that takes writes, whoever that is at the moment."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(daemon=True)
        self._endpoint = endpoint
        self._last = 0.0
        self._fault = "no answer"
        self.longest = 0.0  # seconds between two that were acknowledged
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                with self._endpoint.connect("keelson switchover", patience=0) as connection:
                    connection.execute(f"SET statement_timeout = '{SECONDS_OF_A_WRITE:.0f}s'")
                    self._write(connection)
            except (psycopg.Error, UnreachableError) as fault:
                self._fault = " ".join(str(fault).split())
            self.over.wait(PAUSE)

    def await_one(self, until: float) -> None:
        """Wait for one that is acknowledged from now on; raises ServerError where none is in time."""
        begun = time.monotonic()
        while self._last <= begun:
            if time.monotonic() > until:
                msg = f"no write is acknowledged ({self._fault}); see `keelson status`"
                raise ServerError(msg)
            time.sleep(PAUSE)

    def _write(self, connection: psycopg.Connection) -> None:
        while not self.over.wait(PAUSE):
            connection.execute(_WRITE)
            now = time.monotonic()
            self.longest = max(self.longest, now - (self._last or now))
            self._last = now
