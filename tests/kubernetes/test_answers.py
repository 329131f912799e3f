"""Which cluster is meant, as whom it is asked, and what becomes of its answers, on a server that answers as an API does."""

from __future__ import annotations

import contextlib
import json
import shlex
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from keelson import paths
from keelson.errors import PlatformError, SettingsError
from keelson.kubernetes import cluster
from keelson.kubernetes.cluster import Cluster, Found
from keelson.kubernetes.faults import ApiError, UnansweredError
from keelson.kubernetes.websocket import Connection
from keelson.local import tls

GOOD = (200, {}, {"kind": "Thing"})
WEBHOOK = 'admission webhook "rules.example.org" denied the request: no owner is named'


@dataclass
class Api:
    """A server that gives prepared answers in turn, the last one again and again."""

    port: int
    certificates: Path
    answers: list[tuple[int, dict[str, str], Any]] = field(default_factory=lambda: [GOOD])
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, authorization

    @property
    def methods(self) -> list[str]:
        return [method for method, _, _ in self.asked]

    def next(self) -> tuple[int, dict[str, str], Any]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def kubeconfig(self, file: Path, context: str = "near", **user: Any) -> Path:
        known = {
            "server": f"https://127.0.0.1:{self.port}",
            "certificate-authority": str(self.certificates / "ca.crt"),
        }
        document = {
            "current-context": context,
            "clusters": [{"name": "c", "cluster": known}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
        }
        file.write_text(yaml.safe_dump(document))
        return file


def refusal(code: int, message: str, **headers: str) -> tuple[int, dict[str, str], Any]:
    return code, headers, {"kind": "Status", "status": "Failure", "message": message, "code": code}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("certificates")
    with paths.state_in(home):
        tls.ensure_server("test", home / "api", "api")
    return home / "api"


@pytest.fixture
def api(certificates: Path) -> Iterator[Api]:
    with serving(certificates) as made:
        yield made


@contextlib.contextmanager
def serving(certificates: Path) -> Iterator[Api]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            made.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
            code, headers, body = made.next()
            text = json.dumps(body).encode()
            self.send_response(code)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    made = Api(server.server_port, certificates)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def connect(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cluster]:
    monkeypatch.setattr(cluster, "_links", {})
    monkeypatch.setattr(cluster, "FIRST_PAUSE", 0.001)

    def connected(place: str = "kubernetes:prod", **user: Any) -> Cluster:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "kubeconfig", **user)))
        return cluster.connect(place)

    return connected


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("kubernetes:prod", Found("prod")),
        ("kubernetes:prod@arn:aws:eks:eu:1:cluster/a@b", Found("prod", "arn:aws:eks:eu:1:cluster/a@b")),
    ],
)
def test_a_place_is_a_namespace_and_a_context(place: str, found: Found) -> None:
    assert cluster.find(place) == found


@pytest.mark.parametrize("place", ["kubernetes", "kubernetes:", "kubernetes:Prod", "kubernetes:a/b", "kubernetes:-a"])
def test_a_place_without_a_namespace_is_refused(place: str) -> None:
    with pytest.raises(SettingsError, match="names no namespace"):
        cluster.find(place)


def test_a_context_that_there_is_not_is_told_with_those_that_there_are(connect: Callable[..., Cluster]) -> None:
    connect()
    with pytest.raises(
        SettingsError, match=r"has no context 'far'; there are near: correct keelson:kubernetes.context"
    ):
        connect("kubernetes:prod@far")


def test_several_kubeconfigs_are_one(
    connect: Callable[..., Cluster], tmp_path: Path, api: Api, monkeypatch: Any
) -> None:
    first, second = tmp_path / "first", api.kubeconfig(tmp_path / "second", "of/second:1@x")
    first.write_text(yaml.safe_dump({"contexts": [], "clusters": [], "users": []}))
    assert connect
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'missing'}:{second}")

    assert cluster.connect("kubernetes:prod@of/second:1@x").get("/api/v1/things/a") == {"kind": "Thing"}


def test_no_kubeconfig_is_told(
    connect: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connect
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SettingsError, match=r"there is no kubeconfig \(.*missing\)"):
        cluster.connect("kubernetes:prod")


@pytest.mark.parametrize("text", ["users: [{token: geheim", "- geheim", "users: geheim", "geheim", ""])
def test_a_kubeconfig_that_is_none_is_told_without_its_text(
    connect: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    assert connect
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(SettingsError, match="kubeconfig") as fault:
        cluster.connect("kubernetes:prod")
    assert "geheim" not in str(fault.value)


def test_keys_lie_in_no_file_once_they_are_read(
    connect: Callable[..., Cluster], api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = {"client-certificate": "server.crt", "client-key": "server.key"}
    before = sorted(tmp_path.iterdir())

    found = connect(**{name: str(api.certificates / file) for name, file in names.items()})

    assert found.get("/api/v1/things/a")
    assert [path.name for path in sorted(tmp_path.iterdir()) if path not in before] == ["kubeconfig"]


def test_a_program_gives_a_token_and_another_one_once_that_is_refused(
    connect: Callable[..., Cluster], api: Api, tmp_path: Path
) -> None:
    api.answers = [refusal(401, "Unauthorized"), GOOD]
    made = "import json, pathlib, sys; p = pathlib.Path(sys.argv[1]); n = len(p.read_text()) if p.exists() else 0; "
    made += "p.write_text('x' * (n + 1)); print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', "
    made += "'kind': 'ExecCredential', 'status': {'token': f'token{n}'}}))"

    found = connect(exec=program(sys.executable, "-c", made, str(tmp_path / "count")))

    assert found.get("/api/v1/things/a")
    assert [authorization for _, _, authorization in api.asked] == ["Bearer token0", "Bearer token1"]


def test_a_program_that_gives_no_token_is_told(
    connect: Callable[..., Cluster], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        PlatformError, match=r"credentials of the kubeconfig's context near cannot be had \(.*log in first"
    ):
        connect(exec=program("sh", "-c", "echo log in first >&2; exit 1"))
    assert capfd.readouterr().err == ""


def program(*command: str) -> dict[str, Any]:
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": command[0],
        "args": list(command[1:]),
        "interactiveMode": "Never",
    }


def test_an_api_that_is_unwell_is_asked_again_as_it_wishes(connect: Callable[..., Cluster], api: Api) -> None:
    api.answers = [refusal(429, "too many", Retry_After="1"), refusal(503, "starting"), refusal(500, "etcd"), GOOD]
    begun = time.monotonic()

    assert connect().get("/api/v1/things/a") == {"kind": "Thing"}

    assert len(api.asked) == 4
    assert time.monotonic() - begun >= 1


def test_a_create_is_repeated_only_where_nothing_was_done(connect: Callable[..., Cluster], api: Api) -> None:
    found = connect()
    api.answers = [refusal(429, "too many", Retry_After="0"), GOOD]
    assert found.create("/api/v1/things", {})
    api.answers = [refusal(500, "an internal error")]
    with pytest.raises(ApiError, match="create things: an internal error; wait until the cluster is well"):
        found.create("/api/v1/things", {})
    assert api.methods == ["POST"] * 3


def test_a_stream_is_asked_for_again_too_and_its_refusal_told(connect: Callable[..., Cluster], api: Api) -> None:
    api.answers = [
        refusal(503, "it starts"),
        refusal(429, "too many", Retry_After="0"),
        refusal(400, "no such container"),
    ]
    found = connect()
    with pytest.raises(ApiError, match=r"refuses to reach pods/one/exec in namespace prod: no such container"):
        Connection(found, f"{found.at('pods', 'one')}/exec", [("command", "true")])
    assert len(api.asked) == 3


def test_an_api_that_stays_unwell_is_told_in_time(
    connect: Callable[..., Cluster], api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.2)
    for answer in (refusal(503, "it starts"), refusal(429, "too many", Retry_After="3600")):
        api.answers = [answer]
        begun = time.monotonic()
        with pytest.raises(ApiError, match=r"^the cluster near \(https://.* wait until the cluster is well"):
            connect().get("/api/v1/things/a")
        assert time.monotonic() - begun < 5


def test_a_webhooks_refusal_is_told(connect: Callable[..., Cluster], api: Api) -> None:
    api.answers = [refusal(400, WEBHOOK)]
    with pytest.raises(ApiError, match=r'create things in namespace prod: admission webhook "rules.*do as the webhook'):
        connect().create("/api/v1/namespaces/prod/things", {})


def test_what_is_no_status_is_told_in_short(connect: Callable[..., Cluster], api: Api) -> None:
    api.answers = [(404, {}, "no page\n" * 500), (403, {}, ["odd"])]
    assert connect().get("/api/v1/things/a") is None
    with pytest.raises(ApiError, match="odd"):
        connect().get("/api/v1/things/a")


def test_a_connection_that_was_dropped_meanwhile_is_made_again(connect: Callable[..., Cluster], api: Api) -> None:
    api.answers = [(200, {"Connection": "close"}, {"n": 1}), (200, {}, {"n": 2})]
    found = connect()
    assert [found.get("/api/v1/things/a"), found.get("/api/v1/things/a")] == [{"n": 1}, {"n": 2}]


def test_an_api_that_does_not_answer_is_told_with_what_shows_more(connect: Callable[..., Cluster], api: Api) -> None:
    found = connect()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found.link.configuration.host = f"https://127.0.0.1:{port}"
    with pytest.raises(UnansweredError) as fault:
        found.get("/api/v1/things/a")
    said = f"no Kubernetes API answers at https://127.0.0.1:{port} (context near: Connection refused); see `kubectl --context near cluster-info`"
    assert str(fault.value).startswith(said)
    assert shlex.split(said)
    assert api.asked == []


def test_an_api_with_another_certificate_is_not_believed(
    connect: Callable[..., Cluster], api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connect
    with paths.state_in(tmp_path / "other"):
        tls.ensure_server("other", tmp_path / "other", "api")
    with serving(tmp_path / "other") as stranger:
        wrong = Api(stranger.port, api.certificates).kubeconfig(tmp_path / "wrong", token="geheim")
        monkeypatch.setenv("KUBECONFIG", str(wrong))
        found = cluster.connect("kubernetes:prod")
        with pytest.raises(
            UnansweredError, match=r"certificate.*; correct certificate-authority-data or tls-server-name"
        ):
            found.get("/api/v1/things/a")
        assert stranger.asked == []


def test_connections_are_read_once_by_many_threads(connect: Callable[..., Cluster], api: Api) -> None:
    connect()
    cluster._links.clear()
    seen: list[Cluster] = []
    threads = [threading.Thread(target=lambda: seen.append(cluster.connect("kubernetes:prod"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(each.link) for each in seen}) == 1
    assert api.asked == []
