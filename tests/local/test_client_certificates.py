"""Logins that show a certificate: a real server lets them in with it alone, and their keys are their owner's alone."""

from __future__ import annotations

import datetime as dt
import stat

import psycopg
import pytest

from keelson.endpoint import Endpoint, Reference, resolve
from keelson.local import authorities, pem, tls
from keelson.local.registry import Registry
from keelson.postgres.admission import Admission, Proof, rules
from tests.local.conftest import LocalStack

HERE = ("127.0.0.1/32",)
DAY = dt.timedelta(days=1)
LOGINS = ("auth_app_a", "auth_app_b")


def up(local: LocalStack, proof: Proof) -> None:
    """A server on which two logins of a service show a certificate, and a third one does not."""
    admissions = [Admission("auth", LOGINS, HERE, proof), Admission("auth", ("auth_readonly_a",), HERE)]
    local.up(hba=rules("host", HERE, admissions), certified=LOGINS)
    registry = Registry(local.key)
    for login in (*LOGINS, "auth_readonly_a"):
        word = registry.ensure_password("main", login)
        local.execute(f"CREATE ROLE {login} LOGIN PASSWORD '{word}'")
    local.execute("CREATE DATABASE auth")


def endpoint(local: LocalStack, login: str = "auth_app_a") -> Endpoint:
    return resolve(Reference(stack=local.key, target="local", server="main", database="auth", role=login))


def refusal(parameters: dict[str, str]) -> str:
    """Return why a login is not let in; nothing where it is."""
    try:
        psycopg.connect(**parameters).close()
    except psycopg.OperationalError as fault:
        return str(fault)
    return ""


def without(parameters: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if name not in names}


def test_beside_a_password_both_are_asked_for(local: LocalStack) -> None:
    up(local, "with_password")
    good = endpoint(local).connection_parameters()
    assert refusal(good) == ""
    assert "connection requires a valid client certificate" in refusal(without(good, "sslcert", "sslkey"))
    assert "password authentication failed" in refusal(good | {"password": "wrong"})


def test_in_place_of_a_password_the_certificate_alone_is(local: LocalStack) -> None:
    up(local, "without_password")
    good = endpoint(local).connection_parameters()
    assert refusal(without(good, "password")) == ""
    assert "certificate" in refusal(without(good, "sslcert", "sslkey"))


@pytest.mark.parametrize("proof", ["with_password", "without_password"])
def test_a_login_shows_no_certificate_but_its_own(local: LocalStack, proof: Proof) -> None:
    up(local, proof)
    mine, other = endpoint(local).connection_parameters(), endpoint(local, "auth_app_b").connection_parameters()
    stolen = mine | {name: other[name] for name in ("sslcert", "sslkey")}
    assert "authentication failed" in refusal(stolen)


def test_a_certificate_of_another_authority_is_refused(local: LocalStack) -> None:
    up(local, "without_password")
    tls.ensure_clients("stranger-dev", "main", LOGINS)
    strange = tls.client_files("stranger-dev", "main", "auth_app_a")
    forged = {"sslcert": str(strange.certificate), "sslkey": str(strange.key)}
    assert refusal(endpoint(local).connection_parameters() | forged)


def test_nobody_comes_in_unencrypted_past_the_certificate(local: LocalStack) -> None:
    up(local, "with_password")
    plain = without(endpoint(local).connection_parameters(), "sslcert", "sslkey", "sslrootcert") | {
        "sslmode": "disable"
    }
    assert "pg_hba.conf rejects connection" in refusal(plain)


def test_logins_that_show_none_go_on_as_before(local: LocalStack) -> None:
    up(local, "with_password")
    found = endpoint(local, "auth_readonly_a").connection_parameters()
    assert "sslcert" not in found
    assert refusal(found) == ""


def test_urls_and_variables_name_the_files(local: LocalStack) -> None:
    up(local, "with_password")
    found = endpoint(local)
    assert refusal({"conninfo": found.url()}) == ""
    assert found.variables()["PGSSLCERT"].endswith("/tls/clients/main/auth_app_a.crt")
    assert found.variables()["PGSSLKEY"].endswith("/tls/clients/main/auth_app_a.key")


def test_keys_are_for_their_owner_alone_and_go_with_the_setting(local: LocalStack) -> None:
    up(local, "with_password")
    shown = tls.client_files(local.key, "main", "auth_app_a")
    for file in (shown.certificate, shown.key):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    local.up(hba=rules("host", HERE, [Admission("auth", LOGINS, HERE)]))
    assert not shown.key.exists()
    assert refusal(endpoint(local).connection_parameters()) == ""


def test_what_a_login_shows_is_renewed_like_a_server_s() -> None:
    now = pem.now()
    tls.ensure_clients("test-dev", "main", LOGINS, now)
    shown = tls.client_files("test-dev", "main", "auth_app_a")
    text, first = shown.certificate.read_text(), tls.first_due("test-dev", "main", shown.certificate.parent)
    assert first["of"] in LOGINS
    tls.ensure_clients("test-dev", "main", LOGINS, now + 243 * DAY)
    assert shown.certificate.read_text() == text
    tls.ensure_clients("test-dev", "main", LOGINS, now + 244 * DAY)
    assert shown.certificate.read_text() != text
    assert [each.server for each in tls.clients_of("test-dev", "main")] == [*LOGINS]


def test_a_server_knows_logins_of_the_next_authority_before_any_has_such_a_certificate() -> None:
    now = pem.now()
    tls.ensure_clients("test-dev", "main", LOGINS, now)
    directory = tls.authority_file("test-dev").parent / "main"
    tls.ensure_server("test-dev", directory, "main", (), now + 2500 * DAY)
    old, new = authorities.ensure("test-dev", now + 2500 * DAY).trusted
    tls.ensure_clients("test-dev", "main", LOGINS, now + 2501 * DAY)
    (shown,) = pem.load_certificates(tls.client_files("test-dev", "main", "auth_app_a").certificate)
    assert pem.issued(shown, old)
    assert pem.load_certificates(directory / "ca.crt") == [old, new]
