"""Which daemon is meant, and daemons of other machines: by TLS, by ssh, by contexts."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keelson.docker import daemon, toolbox
from keelson.docker.target import DockerTarget
from keelson.endpoint import Reference, resolve
from keelson.errors import PlatformError, SettingsError
from tests.docker.small_stack import SmallStack, small_stack

BLOCK = 65536


@pytest.fixture(scope="module")
def stack(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallStack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with small_stack(docker_host, ("main",)) as made:
            yield made


@dataclass(frozen=True)
class Far:
    """The daemon as one of another machine, by TLS with certificates of both sides."""

    port: int
    certificates: Path

    @property
    def host(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def far(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    """Give a listener that asks for a certificate and hands on what it hears to the daemon's socket."""
    folder = tmp_path_factory.mktemp("tls")
    make_certificates(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        behind = docker_host.removeprefix("unix://")
        threading.Thread(target=accept, args=(listener, context, behind), daemon=True).start()
        yield Far(listener.getsockname()[1], folder)


def use(place: str, stack: SmallStack) -> None:
    """Ask the toolbox, run a program in it, and connect to the server through it."""
    try:
        assert toolbox.ask(place, stack.key, "records")["servers"]["main"]["host"] == "main"
        stream = toolbox.stream(place, stack.key, ["sh", "-c", "echo said at once; cat; exit 7"])
        assert stream.read_line() == b"said at once\n"
        stream.write(b"and back\n")
        assert stream.read_line() == b"and back\n"
        stream.close()
        assert DockerTarget(place).locate(stack.key, "main").fleeting
        with resolve(Reference(stack=stack.key, target=place, server="main")).connect() as admin:
            assert admin.execute("SELECT repeat('x', 200000)").fetchone() == ("x" * 200_000,)
    finally:
        toolbox.close(place, stack.key)


def test_a_daemon_by_tls_is_used_as_the_near_one(stack: SmallStack, far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(far.certificates))

    use(f"docker@{far.host}", stack)


def test_a_daemon_by_ssh_is_used_as_the_near_one(
    stack: SmallStack, docker_host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program `ssh` is one that runs what it is given right here."""
    program = tmp_path / "ssh"
    lines = ["#!/bin/sh", 'while [ "$1" != -- ]; do shift; done', "shift 2", f'DOCKER_HOST={docker_host} exec "$@"']
    program.write_text("\n".join(lines))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    use("docker@ssh://somebody@far.example", stack)


def test_a_context_names_a_daemon_and_its_certificates(
    stack: SmallStack, far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_context(tmp_path, "far", far)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)

    assert daemon.find("docker@far").host == far.host
    use("docker@far", stack)


def test_the_current_context_counts_where_nothing_else_is_said(
    far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_context(tmp_path, "far", far)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)

    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    assert daemon.find("docker").host == far.host
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert daemon.find("docker").local
    monkeypatch.setenv("DOCKER_HOST", "unix:///other.sock")
    assert daemon.find("docker").host == "unix:///other.sock"


def test_a_context_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(SettingsError, match="no Docker context 'nowhere'"):
        daemon.find("docker@nowhere")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda far: far.host.replace("tcp", "http"), "answers at http://127.0.0.1"),
        (lambda _: "unix:///nowhere/docker.sock", "No such file or directory"),
        (lambda _: "tcp://127.0.0.1:1", "Connection refused"),
        (lambda _: "ssh://nobody@127.0.0.1:1", "Connection refused"),
    ],
)
def test_a_daemon_that_does_not_answer_is_one_sentence(far: Far, make: Callable[[Far], str], reason: str) -> None:
    with pytest.raises(PlatformError, match=reason) as told:
        daemon.connect(f"docker@{make(far)}")
    assert "\n" not in str(told.value)
    assert "HTTPConnectionPool" not in str(told.value)


def make_context(folder: Path, name: str, far: Far) -> None:
    """Write a context as `docker context create` does."""
    identity = hashlib.sha256(name.encode()).hexdigest()
    meta, tls = folder / "contexts" / "meta" / identity, folder / "contexts" / "tls" / identity / "docker"
    for directory in (meta, tls):
        directory.mkdir(parents=True)
    endpoint = {"Host": far.host, "SkipTLSVerify": False}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    for file in ("ca.pem", "cert.pem", "key.pem"):
        (tls / file).write_bytes((far.certificates / file).read_bytes())


def make_certificates(folder: Path) -> None:
    """Make an authority, and one certificate that serves both sides."""
    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "daemon")])
    now = dt.datetime.now(dt.UTC)

    def begun(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
        lasting = made.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(days=1))
        return lasting.serial_number(x509.random_serial_number())

    root = begun(issuer, authority).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = begun(subject, own).add_extension(names, critical=False)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(root.sign(authority, hashes.SHA256()).public_bytes(pem))
    (folder / "cert.pem").write_bytes(leaf.sign(authority, hashes.SHA256()).public_bytes(pem))
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(own.private_bytes(pem, form, serialization.NoEncryption()))


def accept(listener: socket.socket, context: ssl.SSLContext, behind: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, context, behind), daemon=True).start()


def serve(plain: socket.socket, context: ssl.SSLContext, behind: str) -> None:
    """Carry one connection; where either side ends, both do."""
    with (
        contextlib.suppress(OSError),
        plain,
        context.wrap_socket(plain, server_side=True) as client,
        socket.socket(socket.AF_UNIX) as server,
    ):
        server.connect(behind)
        up = threading.Thread(target=carry, args=(client, server), daemon=True)
        up.start()
        carry(server, client)
        up.join()


def carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(BLOCK):
            sink.sendall(block)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
