"""Servers as they were at a moment, made of an archive beside the live ones: each a Cluster of one instance that archives nothing.

They are made and taken away by commands, and no update knows of them. A destroy takes them along.
"""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from keelson.backups.physical.choosing import SHOWN
from keelson.containers.server import ADMINISTRATOR, PORT
from keelson.endpoint import Reference, resolve
from keelson.errors import BackupError, KeelsonError, ServerError, UnreachableError
from keelson.kubernetes import archives, barman, cluster, logs, names, state
from keelson.kubernetes.archives import STAMP, Window
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.workloads import OPERATORS_API, is_of_job, told
from keelson.local.registry import ServerRecord

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
NETWORK = "networking.k8s.io/v1"
HEALTHY = "Cluster in healthy state"
SECONDS_TO_GO = 180.0
POLL = 1.0
ATTEMPTS = 2  # of the operator's, until the last one's words are believed
CLOSED = (f"hostssl all {ADMINISTRATOR} all scram-sha-256", "host all all all reject")
NOT_TAKEN = frozenset(  # of the live Cluster's spec
    {"plugins", "backup", "replica", "externalClusters", "bootstrap", "instances", "topologySpreadConstraints"}
)
TOOLBOX = names.TOOLBOX


@dataclass(frozen=True)
class Wish:
    """A server at a moment, None for as far as its archive goes; out of which archive, and as what."""

    server: str
    archive: Window
    moment: datetime | None
    into: str = ""


def beside(place: str, key: str, wish: Wish) -> str:
    """Make a server beside the live one as that was at a moment, and return its name; only administrators are let in.

    Raises:
        BackupError: the moment cannot be reached.
        ServerError: the name is another server's, or the live server has no Cluster.
    """
    found = cluster.connect(place)
    side = wish.into or f"{wish.server}-at-{wish.moment or datetime.now(UTC):{STAMP}}"
    records = state.ask(place, key, "records")
    if not NAME.fullmatch(side) or side in {**records["servers"], **records["daemons"]} or _cluster(found, side):
        msg = f"{side!r} cannot name a server beside {wish.server}: use at most 40 of a-z, 0-9, '_' and '-' that no part of the stack has, with --into"
        raise ServerError(msg)
    live = _cluster(found, wish.server)
    if live is None:
        msg = f"server {wish.server} has no Cluster in namespace {found.namespace}, after which another one is made; run `keelson up`"
        raise ServerError(msg)
    _refuse(place, key, wish)
    secret = state.ask(place, key, "password", server=wish.server, role=ADMINISTRATOR)
    try:
        state.ask(place, key, "ensure_password", server=side, role=ADMINISTRATOR, chosen=secret)
        _record(place, key, side, wish.server, records["servers"][wish.server])
        _make(found, key, side, wish, live)
        _await(found, place, key, side, wish)
    except BaseException:
        _remove(place, key, side)
        raise
    return side


def every(place: str, key: str, server: str) -> list[str]:
    """Return the servers that were made beside a live one."""
    records = state.ask(place, key, "records")["servers"]
    return [name for name, each in records.items() if each.get("origin") == server]


def discard(place: str, key: str, server: str, side: str) -> None:
    """Take a server away that was made beside a live one; raises ServerError where it is not one of those."""
    known = every(place, key, server)
    if side not in known:
        msg = f"{side!r} was not restored beside {server}; of that there are: {', '.join(known) or 'none'}"
        raise ServerError(msg)
    _remove(place, key, side)


def discard_all(place: str, key: str, server: str) -> None:
    """Take all of them away, as a destroy does."""
    with contextlib.suppress(UnreachableError):  # the state is gone, and the namespace with it
        for side in every(place, key, server):
            _remove(place, key, side)


def _refuse(place: str, key: str, wish: Wish) -> None:
    """Raise BackupError where a moment is not in an archive."""
    first = wish.archive.first
    if first is None:
        msg = f"the archive {wish.archive.name} has no backup yet to begin from; make one: `keelson backup run --server {wish.server}`"
        raise BackupError(msg)
    until = until_of(place, key, wish.server) if wish.archive.present else None
    window = f"give a time from {first:{SHOWN}} to {until or datetime.now(UTC):{SHOWN}}"
    if wish.moment and wish.moment < first:
        msg = f"{wish.moment:{SHOWN}} is before the first backup of {wish.server} was complete; {window}"
        raise BackupError(msg)
    if wish.moment and until and wish.moment > until:
        msg = f"{wish.moment:{SHOWN}} is later than what the archive of {wish.server} holds; {window}"
        raise BackupError(msg)


def until_of(place: str, key: str, server: str) -> datetime | None:
    """Return up to when the archive of a server goes: now, where it answers and sends what it has; else None."""
    reference = Reference(stack=key, target=place, server=server)
    with contextlib.suppress(psycopg.Error, KeelsonError), resolve(reference).connect("keelson restore") as connection:
        return archives.send(connection)
    return None


def spec(live: Json, key: str, side: str, wish: Wish) -> Json:
    """Return the spec of the Cluster, after that of the live one: as large, alone, closed, and made of the archive."""
    kept = {name: value for name, value in live["spec"].items() if name not in NOT_TAKEN}
    postgresql = {name: value for name, value in kept["postgresql"].items() if name not in {"synchronous", "pg_hba"}}
    parameters = dict(postgresql.get("parameters") or {})
    if "timescaledb" in postgresql.get("shared_preload_libraries", ()):
        parameters["timescaledb.max_background_workers"] = "0"  # no job: one may delete what is looked for
    labels = names.labels(key, side) | names.told_of(key, "server")
    moment = f"{wish.moment:%Y-%m-%dT%H:%M:%S.%fZ}" if wish.moment else ""
    return {
        **kept,
        "instances": 1,
        "inheritedMetadata": {"labels": labels},
        "postgresql": {**postgresql, "parameters": parameters, "pg_hba": list(CLOSED)},
        **barman.recovery(wish.server, wish.archive.name, moment),
    }


def _make(found: Cluster, key: str, side: str, wish: Wish, live: Json) -> None:
    labels = names.labels(key, side) | names.told_of(key, "server")
    for name, policy in _policies(found, side, wish.server).items():
        body = {
            "apiVersion": NETWORK,
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "labels": labels},
            "spec": policy,
        }
        found.apply(found.at("networkpolicies", name, api=NETWORK), body)
    body = {
        "apiVersion": OPERATORS_API,
        "kind": "Cluster",
        "metadata": {"name": names.of(side), "labels": labels},
        "spec": spec(live, key, side, wish),
    }
    found.create(found.at("clusters", api=OPERATORS_API), body)


def _policies(found: Cluster, side: str, server: str) -> dict[str, Json]:
    """Return what opens it: to the operator, the API and the bucket as the live one, to the toolbox, and to no application."""
    of_live = found.get(found.at("networkpolicies", f"of-{names.of(server)}", api=NETWORK))
    toolbox = {"podSelector": {"matchLabels": {names.PART_LABEL: TOOLBOX}}}
    opened = {
        "podSelector": {"matchLabels": {names.PART_LABEL: side}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [toolbox], "ports": [{"port": PORT, "protocol": "TCP"}]}],
    }
    among = {f"of-{names.of(side)}": _renamed(of_live["spec"], server, side)} if of_live else {}
    return {**among, f"to-{names.of(side)}": opened}


def _renamed(policy: Any, server: str, side: str) -> Any:  # noqa: ANN401 - JSON
    """Return a policy that is about another Cluster."""
    if isinstance(policy, dict):
        own = {names.CLUSTER_LABEL: names.of(server)}
        changed = {key: _renamed(value, server, side) for key, value in policy.items()}
        return {**changed, names.CLUSTER_LABEL: names.of(side)} if own.items() <= policy.items() else changed
    return [_renamed(each, server, side) for each in policy] if isinstance(policy, list) else policy


def _await(found: Cluster, place: str, key: str, side: str, wish: Wish) -> None:
    """Wait for as long as it goes forward; raises BackupError where it ends before it is done."""
    reference = Reference(stack=key, target=place, server=side)
    while True:
        made = _cluster(found, side)
        if made is None:
            msg = f"the Cluster {names.of(side)} was deleted while it was made; run the restore again"
            raise ServerError(msg)
        if (made.get("status") or {}).get("phase") == HEALTHY:
            with contextlib.suppress(UnreachableError), resolve(reference).connect("keelson restore", patience=0):
                return
        pods = found.items(found.at("pods"), names.selector(key, side))
        ended = [pod for pod in pods if is_of_job(pod) and (pod.get("status") or {}).get("phase") == "Failed"]
        if len(ended) >= ATTEMPTS:
            raise _stopped(
                found, max(ended, key=lambda pod: str(pod["metadata"]["creationTimestamp"])), wish, told(made)
            )
        time.sleep(POLL)


def _stopped(found: Cluster, pod: Json, wish: Wish, phase: str) -> BackupError:
    text = b"".join(logs.read(found, pod, lines=400)).decode(errors="replace")
    if "recovery ended before configured recovery target" in text:
        return BackupError(
            f"the archive of {wish.server} ends, or has a gap, before that time; restore an earlier one, or `--at latest` for all that can be had"
        )
    said = re.findall(r'"(?:error|message)":"((?:[^"\\]|\\.)+)"', text)
    return BackupError(
        f"the server made of the archive of {wish.server} does not start: {said[-1] if said else phase}; restore another time, or see that the bucket answers"
    )


def _record(place: str, key: str, side: str, server: str, live: Json) -> None:
    record = ServerRecord(
        name=side,
        port=PORT,
        host=names.writable(side),
        version_label=str(live.get("version_label", "")),
        timescale=bool(live.get("timescale")),
        origin=server,
    )
    stack_id = state.ask(place, key, "register", environment="")
    state.ask(place, key, "record_server", stack_id=stack_id, record=asdict(record))


def _remove(place: str, key: str, side: str) -> None:
    """Take away its Cluster with the volumes, what opened it, and its entry; raises PlatformError where it does not go."""
    found = cluster.connect(place)
    found.delete(found.at("clusters", names.of(side), api=OPERATORS_API))
    for name in (f"of-{names.of(side)}", f"to-{names.of(side)}"):
        found.delete(found.at("networkpolicies", name, api=NETWORK))
    until = time.monotonic() + SECONDS_TO_GO
    while found.items(found.at("pods"), names.selector(key, side)) or _cluster(found, side):
        if time.monotonic() > until:
            msg = f"the pods of {side} do not end; see `{found.kubectl(f'get pods -l {names.PART_LABEL}={side}')}`, and discard it again"
            raise ServerError(msg)
        time.sleep(POLL)
    state.ask(place, key, "forget", name=side)
    state.ask(place, key, "forget_passwords", server=side)


def _cluster(found: Cluster, server: str) -> Json | None:
    return found.get(found.at("clusters", names.of(server), api=OPERATORS_API))
