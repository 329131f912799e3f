"""Certificates of a whole stack: the preview knows when one is renewed, `up` renews it, and sessions live on."""

from __future__ import annotations

import datetime as dt
import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from keelson.local import pem
from tests.stack.harness import StackUnderTest, changed, notes_up, wait_until

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def up(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """One stack for all tests, up."""
    return notes_up(make_shared_stack)


def serial_at(connection: psycopg.Connection) -> int:
    """The serial number of the certificate that new sessions see."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((connection.info.host, connection.info.port), 5) as plain:
        plain.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")  # SSLRequest
        assert plain.recv(1) == b"S"
        with context.wrap_socket(plain) as wrapped:
            return x509.load_der_x509_certificate(wrapped.getpeercert(binary_form=True) or b"").serial_number


def shorten(stack: StackUnderTest, server: str, scratch: Path) -> None:
    """Put a certificate of the stack's authority in place of a server's that has ten days of ninety left."""
    for name, text in (("ca.key", stack.read("tls/ca.key")), ("ca.crt", stack.read("tls/ca.crt"))):
        (scratch / name).write_text(text)
    path = stack.certificate_of(server)
    (scratch / "server.crt").write_text(stack.sh('cat "$1"', path))
    (scratch / "server.key").write_text(stack.sh('cat "$1"', path.replace(".crt", ".key")))
    ca, pair = pem.load(scratch, "ca"), pem.load(scratch, "server")
    assert ca
    assert pair
    old, now = pair.certificate, pem.now()
    builder = pem.builder(old.subject, old.issuer, pair.key, pem.Life(now - 80 * DAY, now + 10 * DAY))
    names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    made = builder.add_extension(names, critical=False).sign(ca.key, hashes.SHA256())
    stack.sh('printf %s "$2" >"$1"', path, pem.text(made))


def test_a_certificate_is_renewed_by_an_up_and_a_session_lives_on(up: StackUnderTest, tmp_path: Path) -> None:
    assert changed(up.keelson("preview").stdout) == set()
    shorten(up, "main", tmp_path)
    up.pulumi("refresh", "--yes")  # which reads what an `up` would have written down eighty days ago
    shown = up.keelson("preview").stdout
    assert "main: the certificate of main ends on" in shown
    assert "is renewed by a reload" in shown
    assert changed(shown) & {"LocalServer", "DockerFiles"}
    assert not changed(shown) & {"Container"}
    assert up.keelson("status", check=False).returncode == 1
    with up.connect("notes", "admin") as session:
        before, backend = serial_at(session), session.info.backend_pid
        up.keelson("up")
        wait_until(lambda: serial_at(session) != before, "the server shows its new certificate")
        assert session.execute("SELECT pg_backend_pid()").fetchone() == (backend,)
        with up.connect("notes") as fresh:
            assert fresh.execute("SELECT count(*) FROM notes").fetchone() == (10,)
    assert changed(up.keelson("preview").stdout) == set()
    assert "certificate" not in up.keelson("status", check=False).stdout


def test_the_authority_s_key_is_in_no_state_preview_or_log(up: StackUnderTest) -> None:
    words = [line for line in up.read("tls/ca.key").splitlines() if not line.startswith("-----")]
    seen = [str(up.export()), up.logs(), up.keelson("preview", "--diff", check=False).stdout]
    assert words
    assert not [word for word in words for text in seen if word in text]


def test_a_certificate_names_all_by_which_a_server_is_reached(up: StackUnderTest) -> None:
    (found,) = x509.load_pem_x509_certificates(up.sh('cat "$1"', up.certificate_of("main")).encode())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)][:2] == ["127.0.0.1", "::1"]
    known = set(names.get_values_for_type(x509.DNSName))
    assert known >= ({"localhost"} if up.settings["target"] == "local" else {"localhost", "main"})


def refusal(url: str) -> str:
    """Why a URL leads nowhere; nothing where it leads to the server."""
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError as fault:
        return str(fault)
    return ""


def test_a_service_s_application_shows_a_certificate_once_its_settings_say_so(up: StackUnderTest) -> None:
    path = up.root / "sql/notes/database.yaml"
    kept = path.read_text()
    before = up.url("notes")
    path.write_text(f"{kept}client_certificates: {{app: with_password}}\n")
    with up.connect("notes", "admin") as session:
        up.keelson("up")
        assert session.execute("SELECT 1").fetchone() == (1,), "no session is ended"
    assert "connection requires a valid client certificate" in refusal(before)
    named = up.url("notes")
    assert "sslcert=" in named
    assert "sslkey=" in named
    assert refusal(named) == ""
    assert refusal(up.url("notes", "migrator")) == ""
    assert up.keelson("psql", "notes", "--", "-Atc", "SELECT count(*) FROM notes").stdout.strip() == "10"
    listed = [each["server"] for each in json.loads(up.keelson("status", "--json", check=False).stdout)["certificates"]]
    assert listed == ["main", "authority", "notes_app_a", "notes_app_b"]
    words = [line for line in up.read("tls/clients/main/notes_app_a.key").splitlines() if "-----" not in line]
    assert not [word for word in words if word in str(up.export()) + up.logs()]
    assert changed(up.keelson("preview").stdout) == set()
    path.write_text(kept)
    up.keelson("up")
    assert refusal(before) == ""
    assert up.sh('ls "$STATE/tls/clients/main"') == ""


@pytest.mark.docker
def test_a_container_is_given_the_files_that_its_login_shows(up: StackUnderTest, tmp_path: Path) -> None:
    path = up.root / "sql/notes/database.yaml"
    kept = path.read_text()
    path.write_text(f"{kept}client_certificates: {{app: without_password}}\n")
    up.keelson("up")
    refused = up.keelson("url", "notes", "--from", "container", check=False)
    assert refused.returncode == 1
    assert "add --ca FILE:PATH" in refused.stderr
    found = up.keelson("env", "notes", "--from", "container", "--ca", f"{tmp_path}/ca.crt:/run/tls/ca.crt").stdout
    assert "PGSSLKEY=/run/tls/notes_app_a.key" in found
    assert (tmp_path / "notes_app_a.key").stat().st_mode & 0o777 == 0o600
    path.write_text(kept)
    up.keelson("up")
