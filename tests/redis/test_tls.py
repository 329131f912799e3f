"""TLS of a Redis: who is refused, what a client needs, and how a certificate is renewed."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from redis.backoff import NoBackoff
from redis.retry import Retry

from keelson import paths
from keelson.endpoint import Reference
from keelson.errors import UnreachableError
from keelson.local import authorities, daemon, pem, registry, supervisor, tls, volume
from keelson.local.target import LocalTarget
from keelson.redis.connection import connect
from keelson.redis.endpoint import RedisEndpoint
from keelson.redis.users import ensure_users
from keelson.target import Address, target
from tests.redis.conftest import Server

DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC)
ALIAS = "127.1"  # leads to 127.0.0.1, and stands in no certificate
ONCE = {"retry": Retry(NoBackoff(), 0)}


def address_of(server: Server) -> Address:
    return target("local").locate(server.local.key, server.name)


def pid_of(server: Server) -> int:
    return supervisor.noted(server.local.key, server.name).pid


def certificate_of(server: Server) -> x509.Certificate:
    return pem.load_certificates(volume.directory(server.local.key, server.name) / "tls/server.crt")[0]


def shown_by(server: Server) -> x509.Certificate:
    """The certificate by which it proves itself to new clients."""
    return x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", address_of(server).port)).encode())


def put(server: Server, life: dt.timedelta, left: dt.timedelta) -> None:
    """Put a certificate of the stack's authority in place that has so much of its life left."""
    directory = volume.directory(server.local.key, server.name) / "tls"
    (ca,) = authorities.ensure(server.local.key, NOW).pairs
    pair = pem.load(directory, "server")
    assert pair
    old = pair.certificate
    builder = pem.builder(old.subject, ca.certificate.subject, pair.key, pem.Life(NOW + left - life, NOW + left))
    names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    made = builder.add_extension(names, critical=False).sign(ca.key, hashes.SHA256())
    paths.write_private(directory / "server.crt", pem.text(made))


def take(server: Server) -> None:
    """Have it read the files of its certificate, whatever they are."""
    with connect(server.reference) as admin:
        admin.config_set("tls-cert-file", admin.config_get("tls-cert-file")["tls-cert-file"])


def test_a_client_in_clear_is_refused(server: Server) -> None:
    with server.client(ssl=False, ssl_ca_certs=None, **ONCE) as plain, pytest.raises(redis.ConnectionError):
        plain.ping()
    with socket.create_connection(("127.0.0.1", address_of(server).port), 5) as plain:
        plain.sendall(b"PING\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"PONG" not in plain.recv(100)


def test_a_client_that_knows_another_authority_refuses_the_server(server: Server, tmp_path: Path) -> None:
    tls.ensure_server("another", tmp_path / "another", "redis")
    with (
        server.client(ssl_ca_certs=str(tmp_path / "another/ca.crt"), **ONCE) as client,
        pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.ping()


def test_a_client_that_asks_for_another_name_refuses_the_server(server: Server) -> None:
    with server.client(host=ALIAS, **ONCE) as client, pytest.raises(redis.ConnectionError, match="Hostname mismatch"):
        client.ping()
    context = ssl.create_default_context(cafile=str(authorities.file(server.local.key)))
    with (
        socket.create_connection(("127.0.0.1", address_of(server).port), 5) as plain,
        pytest.raises(ssl.SSLCertVerificationError, match=r"redis\.example"),
    ):
        context.wrap_socket(plain, server_hostname="redis.example")


def test_keelson_itself_says_nothing_to_a_server_that_is_another(server: Server, tmp_path: Path) -> None:
    tls.ensure_server("another", tmp_path / "another", "redis")
    stranger = replace(address_of(server), root_certificate=tmp_path / "another/ca.crt")
    with (
        pytest.raises(UnreachableError, match="certificate verify failed"),
        connect(server.reference, address=stranger),
    ):
        pass


def test_the_url_is_all_that_redis_py_needs(server: Server) -> None:
    ensure_users(server.reference, ["auth"], {}, (0, 1, 2))
    password = registry.Registry(server.local.key).password(server.name, "auth_app")
    url = RedisEndpoint(address=address_of(server), number=1, user="auth_app", password=password).url()
    assert url.startswith("rediss://auth_app:")
    with redis.Redis.from_url(url, decode_responses=True, **ONCE) as app:
        app.set("auth:k", "v")
        assert app.get("auth:k") == "v"
        with pytest.raises(redis.exceptions.NoPermissionError):
            app.get("portfolio:k")
    with (
        redis.Redis.from_url(url.replace("127.0.0.1", ALIAS), **ONCE) as elsewhere,
        pytest.raises(redis.ConnectionError, match="Hostname mismatch"),
    ):
        elsewhere.ping()


def test_a_renewed_certificate_is_taken_and_open_connections_live_on(server: Server) -> None:
    put(server, 90 * DAY, 31 * DAY)
    server.up()
    kept, pid = certificate_of(server), pid_of(server)
    assert shown_by(server) == kept
    put(server, 90 * DAY, 29 * DAY)
    with server.client(**ONCE) as client, client.pubsub() as news:
        news.subscribe("here")
        assert news.get_message(timeout=5)
        server.up()
        assert certificate_of(server) != kept
        assert shown_by(server) == certificate_of(server)
        assert client.publish("here", "still") == 1
        assert news.get_message(timeout=5)["data"] == "still"
    assert pid_of(server) == pid


def test_one_whose_certificate_has_ended_is_named_and_mended(server: Server) -> None:
    put(server, 90 * DAY, -DAY)
    take(server)
    part = daemon.look(server.local.key, server.name)
    assert not part.answering
    assert part.detail.startswith("shows a certificate that is not good")
    server.up()
    assert daemon.look(server.local.key, server.name).answering
    with connect(server.reference) as admin:
        assert admin.ping()


def test_its_certificate_is_among_those_that_status_looks_at(server: Server) -> None:
    (known,) = [each for each in LocalTarget().certificates(server.local.key) if each.server == server.name]
    assert known.expires == certificate_of(server).not_valid_after_utc


def test_it_speaks_tls_1_3_alone_unless_its_settings_say_1_2(server: Server) -> None:
    def version(most: ssl.TLSVersion) -> str | None:
        context = ssl.create_default_context(cafile=str(authorities.file(server.local.key)))
        context.maximum_version = most
        with (
            socket.create_connection(("127.0.0.1", address_of(server).port), 5) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as wrapped,
        ):
            return wrapped.version()

    assert version(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises(OSError, match=r"SSL|reset"):
        version(ssl.TLSVersion.TLSv1_2)
    pid = pid_of(server)
    try:
        server.up(tls="TLSv1.2")
        assert version(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        assert version(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
        assert pid_of(server) == pid
    finally:
        server.up()


@pytest.mark.parametrize("append_only", [True, False])
def test_one_of_an_older_release_is_encrypted_by_an_update_and_keeps_its_keys(
    make_server: Callable[..., Server],
    append_only: bool,  # noqa: FBT001
) -> None:
    store = make_server(f"older-{append_only}".lower(), tls="", append_only=append_only)
    assert address_of(store).root_certificate is None
    assert RedisEndpoint(address=address_of(store), number=0, user="x", password="y").url().startswith("redis://x:y@")
    with store.client(ssl=False, ssl_ca_certs=None, **ONCE) as plain:
        plain.set("k", "v")
        store.up(append_only=append_only)
        with pytest.raises(redis.ConnectionError):  # nothing goes on in clear
            plain.get("k")
    with store.client() as client:
        assert client.get("k") == "v"
    store.up(tls="", append_only=append_only)  # and back, for clients that know no TLS
    with store.client(ssl=False, ssl_ca_certs=None) as plain:
        assert plain.get("k") == "v"


def test_its_key_is_for_its_owner_alone(server: Server) -> None:
    directory = volume.directory(server.local.key, server.name) / "tls"
    assert {each.stat().st_mode & 0o777 for each in directory.iterdir()} == {0o600}
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_reference_to_a_redis_is_verified(server: Server) -> None:
    found = Reference(stack=server.local.key, target="local", server=server.name, role="monitor")
    with connect(found) as monitor:
        assert monitor.info("clients")
        assert monitor.connection_pool.connection_class is redis.SSLConnection
