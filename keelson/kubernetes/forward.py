"""Ports of this machine that lead to pods: each connection is forwarded on its own, to the pod that is ready at that moment.

So a port survives restarts, failovers and dropped connections. Where the API may not forward, a process of the toolbox carries a
connection. The API cannot tell of the end of one direction alone; so a connection that this side has ended is ended altogether once the
other side has been silent for a while.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import threading

from keelson.containers.toolbox import PYTHON
from keelson.errors import KeelsonError, UnreachableError
from keelson.inside import listener, relay
from keelson.kubernetes import cluster, pods, toolbox
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.faults import ForbiddenError
from keelson.kubernetes.websocket import V4, Connection

LOOPBACK = listener.LOOPBACK
DATA, FAULT = range(2)  # channels
QUIET = 5.0  # seconds of silence after which a connection is ended of which this side has ended
PORT_BYTES = 2  # each channel begins with its port

_POD = "pod/"
_Wanted = tuple[str, str, str, int]
_forbidden: set[str] = set()  # the places where the API may not forward
_said: dict[_Wanted, str] = {}  # why a connection ended, by the node


def port(place: str, key: str, name: str, inner: int) -> int:
    """Return a port of this machine that leads to a port of the stack's pods.

    Args:
        place: the cluster and namespace.
        key: the stack's key.
        name: a Service, a selector of labels such as `keelson.dev/part=main`, or what `pod` returns.
        inner: the Service's port, or the pods' own.
    """
    wanted = (place, key, name, inner)
    return listener.port(wanted, functools.partial(_serve, wanted))


def pod(name: str) -> str:
    """Return how `port` is told that a pod is meant, ready or not."""
    return f"{_POD}{name}"


def fault(place: str, key: str, name: str, inner: int) -> str:
    """Return why a connection would end at once, or the last one did; nothing where all is well."""
    try:
        find(cluster.connect(place), name, inner)
    except KeelsonError as found:
        return str(found)
    return _said.get((place, key, name, inner), "")


def _serve(wanted: _Wanted, client: socket.socket) -> None:
    """Carry one connection; one that cannot be made ends at once."""
    place, key, name, inner = wanted
    try:
        found = cluster.connect(place)
        pod, aim = find(found, name, inner)
        if place not in _forbidden:
            try:
                path = f"{found.at('pods', pod['metadata']['name'])}/portforward"
                return _Forward(wanted, client, Connection(found, path, [("ports", str(aim))], [V4])).carry()
            except ForbiddenError:
                _forbidden.add(place)
        command = [*PYTHON, relay.__name__, pod["status"]["podIP"], str(aim)]
        listener.carry(client, toolbox.stream(place, key, command))
    except (KeelsonError, OSError) as fault:  # who connected sees the end, and the target says why
        _said[wanted] = str(fault)


def find(found: Cluster, name: str, inner: int) -> tuple[Json, int]:
    """Return the pod that is meant now, and its port; raises UnreachableError where none is ready."""
    if name.startswith(_POD):
        known = found.get(found.at("pods", name.removeprefix(_POD)))
        if known is None or not (known.get("status") or {}).get("podIP"):
            msg = f"{name} does not run in namespace {found.namespace} of the cluster {found.name}; run `keelson start`"
            raise UnreachableError(msg)
        return known, inner
    if "=" in name:
        return pods.ready(found, name, name), inner
    service = found.get(found.at("services", name))
    if service is None or not service["spec"].get("selector"):
        lack = "is no Service" if service is None else "is a Service of no pods"
        msg = f"{name} {lack} in namespace {found.namespace} of the cluster {found.name}; run `keelson up`"
        raise UnreachableError(msg)
    labels = ",".join(f"{label}={value}" for label, value in sorted(service["spec"]["selector"].items()))
    pod = pods.ready(found, labels, name)
    return pod, _aim(service, pod, inner)


def _aim(service: Json, pod: Json, inner: int) -> int:
    """Return the pod's port behind a Service's port; `inner` itself where the Service has no such port."""
    aims = (each.get("targetPort", inner) for each in service["spec"].get("ports", ()) if each["port"] == inner)
    aim = next(aims, inner)
    if isinstance(aim, int):
        return aim
    named = (each for container in pod["spec"]["containers"] for each in container.get("ports", ()))
    return next((int(each["containerPort"]) for each in named if each.get("name") == aim), inner)


class _Forward:
    """One connection, carried both ways."""

    def __init__(self, wanted: _Wanted, client: socket.socket, connection: Connection) -> None:
        self._wanted, self._client, self._connection = wanted, client, connection
        self._heard = threading.Event()
        self._over = False

    def carry(self) -> None:
        """Carry until the other side has ended, or both are silent after this one's end."""
        listener.start(self._up)
        try:
            self._down()
        finally:
            self._over = True
            self._heard.set()
            self._connection.close()
            with contextlib.suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)

    def _down(self) -> None:
        begun: set[int] = set()
        while found := self._connection.receive():
            channel, block = found
            if channel not in begun and len(block) == PORT_BYTES:
                begun.add(channel)
            elif channel == FAULT and block:
                _said[self._wanted] = " ".join(block.decode(errors="replace").split())
                return
            elif channel == DATA:
                self._heard.set()
                self._client.sendall(block)
                _said.pop(self._wanted, None)

    def _up(self) -> None:
        try:
            while block := self._client.recv(relay.BLOCK):
                self._connection.send(DATA, block)
            while not self._over and self._heard.wait(QUIET):
                self._heard.clear()
        except OSError:  # one of both sides is gone
            pass
        finally:
            self._connection.close()
