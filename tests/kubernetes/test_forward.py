"""Ports of this machine that lead to pods."""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from keelson.kubernetes import cluster, credentials, forward, names
from keelson.kubernetes import toolbox as boxes
from keelson.kubernetes.faults import ForbiddenError
from tests.kubernetes.ground import Ground, await_until

pytestmark = pytest.mark.kubernetes

ECHO = """
import socketserver, sys
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(sys.argv[1].encode() + b"\\n")
        while block := self.request.recv(65536):
            self.request.sendall(block)
        self.request.sendall(b"the end")
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
Server(("0.0.0.0", 7000), Echo).serve_forever()
"""


def make_echo(toolbox: Ground, bare: str, name: str, role: str = "primary") -> None:
    labels = {**names.labels(toolbox.key, "echo"), "role": role, "name": name}
    toolbox.make_pod(name, bare, labels, ("python3", "-c", ECHO, name))
    toolbox.pod(f"name={name}")


@pytest.fixture(scope="module")
def echo(toolbox: Ground, bare: str) -> Ground:
    make_echo(toolbox, bare, "one")
    spec = {
        "selector": {names.PART_LABEL: "echo", "role": "primary"},
        "ports": [{"name": "echo", "port": 80, "targetPort": 7000}],
    }
    toolbox.cluster.create(toolbox.cluster.at("services"), {"metadata": {"name": "echo"}, "spec": spec})
    await_until(lambda: ask(toolbox)[0] == b"one")
    return toolbox


def ask(ground: Ground, text: bytes = b"", name: str = "echo", port: int = 80) -> tuple[bytes, bytes]:
    """Return who answers, and what; nothing of a connection that ends at once."""
    local = forward.port(ground.place, ground.key, name, port)
    with closing(socket.create_connection((forward.LOOPBACK, local), timeout=30)) as connection:
        sender = threading.Thread(target=connection.sendall, args=(text,))
        sender.start()
        with connection.makefile("rb") as answers:
            who = answers.readline().rstrip(b"\n")
            what = answers.read(len(text)) if who else b""
        sender.join()
    return who, what


def test_large_content_comes_through_whole_both_ways(echo: Ground) -> None:
    text = os.urandom(4_000_000)

    assert ask(echo, text) == (b"one", text)


def test_many_connections_are_carried_at_once(echo: Ground) -> None:
    texts = [os.urandom(100_000) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert [what for _, what in pool.map(lambda text: ask(echo, text), texts)] == texts


def test_a_selector_of_labels_names_pods_too(echo: Ground) -> None:
    assert ask(echo, b"hello", f"{names.PART_LABEL}=echo", 7000) == (b"one", b"hello")


def test_the_same_port_leads_to_whoever_has_the_role_now(echo: Ground, bare: str) -> None:
    make_echo(echo, bare, "two", role="replica")
    pod = echo.cluster.at("pods", "one")
    echo.cluster.patch(pod, {"metadata": {"labels": {"role": "replica"}}})
    echo.cluster.patch(echo.cluster.at("pods", "two"), {"metadata": {"labels": {"role": "primary"}}})
    assert ask(echo, b"x") == (b"two", b"x")

    echo.cluster.patch(pod, {"metadata": {"labels": {"role": "primary"}}})
    echo.cluster.delete(echo.cluster.at("pods", "two"), gracePeriodSeconds=0)
    await_until(lambda: ask(echo, b"x") == (b"one", b"x"))


def test_a_connection_whose_pod_is_deleted_ends(echo: Ground, bare: str) -> None:
    make_echo(echo, bare, "gone", role="lonely")
    local = forward.port(echo.place, echo.key, "role=lonely", 7000)
    with closing(socket.create_connection((forward.LOOPBACK, local), timeout=30)) as connection:
        assert connection.recv(100) == b"gone\n"
        echo.cluster.delete(echo.cluster.at("pods", "gone"), gracePeriodSeconds=0)
        assert connection.recv(100) == b""


def test_what_nobody_serves_ends_at_once_with_a_reason(echo: Ground) -> None:
    assert ask(echo, name="nothing") == (b"", b"")
    assert "nothing is no Service in namespace" in forward.fault(echo.place, echo.key, "nothing", 80)
    assert ask(echo, name="role=none", port=1) == (b"", b"")
    assert "has no pod that is ready" in forward.fault(echo.place, echo.key, "role=none", 1)
    assert ask(echo, name="role=primary", port=7999) == (b"", b"")
    await_until(lambda: "refused" in forward.fault(echo.place, echo.key, "role=primary", 7999))
    assert forward.fault(echo.place, echo.key, "echo", 80) == ""


def test_a_pod_that_cannot_start_says_why(echo: Ground) -> None:
    echo.make_pod("absent", "nowhere/none:1", {"role": "absent"})

    await_until(lambda: "ErrImageNeverPull" in forward.fault(echo.place, echo.key, "role=absent", 1))

    assert "describe pod absent" in forward.fault(echo.place, echo.key, "role=absent", 1)


def test_a_client_that_has_ended_hears_what_still_comes(echo: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "QUIET", 1.0)
    local = forward.port(echo.place, echo.key, "echo", 80)
    with closing(socket.create_connection((forward.LOOPBACK, local), timeout=30)) as connection:
        connection.sendall(b"x" * 100_000)
        connection.shutdown(socket.SHUT_WR)
        heard = b"".join(iter(lambda: connection.recv(65536), b""))
    assert heard == b"one\n" + b"x" * 100_000


def test_where_the_api_may_not_forward_the_toolbox_carries(
    echo: Ground, monkeypatch: pytest.MonkeyPatch, kubeconfig: object
) -> None:
    assert kubeconfig
    limited = limited_place(echo, monkeypatch)
    text = os.urandom(200_000)

    assert ask(limited, text) == (b"one", text)

    assert limited.place in forward._forbidden
    local = forward.port(limited.place, limited.key, "echo", 80)
    with closing(socket.create_connection((forward.LOOPBACK, local), timeout=30)) as connection:
        connection.sendall(b"x")
        connection.shutdown(socket.SHUT_WR)  # which is told here
        assert b"".join(iter(lambda: connection.recv(65536), b"")) == b"one\nxthe end"


def limited_place(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Give the same namespace to one who may look and start processes, and forward nothing."""
    found = ground.cluster
    rules = [
        {"apiGroups": [""], "resources": ["pods", "services", "secrets"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
    ]
    rbac = "rbac.authorization.k8s.io/v1"
    found.create(found.at("roles", api=rbac), {"metadata": {"name": "limited"}, "rules": rules})
    binding = {
        "metadata": {"name": "limited"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "limited"},
        "subjects": [{"kind": "User", "name": "somebody", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    found.create(found.at("rolebindings", api=rbac), binding)
    known = found.link
    monkeypatch.setattr(
        credentials.Link, "headers", lambda self: {"Impersonate-User": "somebody"} if self is not known else {}
    )
    other = credentials.Link("as somebody", known.configuration, known.tls, known.pool)
    monkeypatch.setitem(cluster._links, "somebody", other)
    limited = Ground(f"{ground.place}@somebody", ground.key)
    await_until(lambda: found_by(limited))
    return limited


def found_by(ground: Ground) -> bool:
    """Whether the toolbox is found: a Role is heeded a moment after it was made."""
    try:
        return bool(boxes.find(ground.place, ground.key))
    except ForbiddenError:
        return False
