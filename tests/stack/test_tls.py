"""Certificates of a whole stack: the preview knows when one is renewed, `up` renews it, and sessions live on."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from psycopg.conninfo import conninfo_to_dict

from tests.stack.certificates import aged, is_trusted, serial_at, shortened
from tests.stack.harness import StackUnderTest, changed, notes_up, wait_until
from tests.stack.pgadmin_list import opened


@pytest.fixture(scope="module")
def up(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """One stack for all tests, up."""
    return notes_up(make_shared_stack, pgadmin={"enabled": True}, agent={"enabled": True})


def shorten(stack: StackUnderTest, server: str) -> None:
    """Put a certificate of the stack's authority in place of a server's that has ten days of ninety left."""
    path = stack.certificate_of(server)
    old, key = stack.sh('cat "$1"', path), stack.sh('cat "$1"', path.replace(".crt", ".key"))
    stack.sh('printf %s "$2" >"$1"', path, shortened(stack, old, key))


def test_a_certificate_is_renewed_by_an_up_and_a_session_lives_on(up: StackUnderTest) -> None:
    assert changed(up.keelson("preview").stdout) == set()
    shorten(up, "main")
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


def test_no_client_is_lost_while_the_authority_is_renewed(up: StackUnderTest, tmp_path: Path) -> None:
    old = fetched = up.read("tls/ca.crt")
    for left, still_trusted in ((1000, True), (100, False)):  # days: of ten years, the next one takes over in the last
        up.write("tls/ca.crt", aged(up, left))
        shorten(up, "main")
        up.pulumi("refresh", "--yes")
        assert "is renewed by a reload" in up.keelson("preview").stdout
        session = up.connect("notes", "admin")
        before = serial_at(session)
        up.keelson("up")
        wait_until(lambda session=session, before=before: serial_at(session) != before, "it shows its new certificate")
        session.execute("SELECT 1")
        both = up.read("tls/ca.crt")
        assert both.count("BEGIN CERTIFICATE") == 2
        parameters = conninfo_to_dict(up.url("notes"))
        assert is_trusted(parameters, both, tmp_path / "ca.crt")
        assert is_trusted(parameters, fetched, tmp_path / "ca.crt"), (
            "who fetched it since the next one was made goes on"
        )
        assert is_trusted(parameters, old, tmp_path / "ca.crt") is still_trusted
        assert opened(up) >= {"notes"}
        wait_until(lambda: health(up)["well"], "the agent finds all parts well")
        assert changed(up.keelson("preview").stdout) == set()
        session.close()
        fetched = both


def health(stack: StackUnderTest) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.port('agent')}/health", timeout=10) as answer:
        return dict(json.loads(answer.read()))


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
