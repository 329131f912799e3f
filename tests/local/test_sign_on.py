"""Login by OpenID Connect: a real pgAdmin and a small issuer on loopback, from discovery to pgAdmin's page."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keelson.local import daemon, processes, stack, volume
from keelson.local.pgadmin import environment
from keelson.local.registry import Registry
from tests.local.conftest import LocalStack, free_port, wait_until
from tests.local.pgadmin_client import PgAdminSession
from tests.local.test_pgadmin import ADMINISTRATOR, EMAIL, NOTES, PgAdmin

PROGRAM = Path(__file__).with_name("issuer.py")
SECRET = "a client's secret"
PATIENCE = 90.0  # pgAdmin starts anew where its login changes
PERSON = {"email": "ada@example.com", "email_verified": True}


@dataclass
class SignOn(PgAdmin):
    """pgAdmin that the issuer sends people to."""

    issuer: str = ""

    def await_answer(self) -> None:
        wait_until(lambda: daemon.look(self.local.key, "pgadmin").answering, PATIENCE)

    def oidc(self, **changes: Any) -> dict[str, Any]:
        usual = {
            "issuer": self.issuer,
            "client_id": "keelson",
            "confidential": True,
            "name": "Company login",
            "scopes": ["openid", "email", "profile"],
            "domains": ["example.com"],
            "groups": [],
            "local_login": False,
        }
        return usual | changes

    def up_with(self, secret: str = SECRET, **changes: Any) -> None:
        self.up(chosen={"oidc": secret}, oidc=self.oidc(**changes))

    def come_as(self, in_token: tuple[str, ...] = ("email", "email_verified"), **claims: Any) -> PgAdminSession:
        """Log in as somebody of whom the issuer says this."""
        given = json.dumps({"claims": {"sub": "1", **claims}, "in_token": in_token}).encode()
        urllib.request.urlopen(f"{self.issuer}/as", data=given, timeout=10).close()  # noqa: S310 - this machine's own
        session = PgAdminSession(self.port)
        session.sign_on()
        return session

    def lets_in(self, in_token: tuple[str, ...], **claims: Any) -> bool | None:
        """Say whether somebody gets in; nothing while pgAdmin starts anew."""
        with contextlib.suppress(OSError, http.client.HTTPException, LookupError):
            return self.come_as(in_token, **claims).inside()
        return None


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's directories for all tests of this module."""
    folder = tmp_path_factory.mktemp("sign-on")
    with pytest.MonkeyPatch.context() as patch:
        for variable, name in (("STATE_HOME", "state"), ("DATA_HOME", "data"), ("RUNTIME_DIR", "run")):
            patch.setenv(f"XDG_{variable}", str(folder / name))
        yield folder


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """The address of an issuer."""
    command = [environment() / "bin" / "python", "-I", PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@pytest.fixture(scope="module")
def pgadmin(home: Path, issuer: str) -> Iterator[SignOn]:  # noqa: ARG001 - where its directories lie
    local = LocalStack("sign-on-dev", stack.register("sign-on-dev", "dev"))
    try:
        local.up()
        password = Registry(local.key).ensure_password("main", "notes_reader")
        local.execute(f"CREATE ROLE notes_reader LOGIN PASSWORD '{password}'")
        local.execute("CREATE DATABASE notes")
        volume.make(local.key, local.stack_id, "pgadmin")
        made = SignOn(local, free_port(), issuer)
        made.up_with()
        yield made
    finally:
        local.end()
    assert not processes.of_stack(local.key)


def test_somebody_of_the_domain_ends_on_the_page_and_finds_the_servers_open(pgadmin: SignOn) -> None:
    session = pgadmin.come_as(**PERSON)
    assert session.landed.startswith(f"http://127.0.0.1:{pgadmin.port}/browser/")
    assert session.tree().keys() == {"main"}
    assert session.tree()["main"].keys() == {"main (administrator)", "notes"}
    assert session.connect("main", "notes")


def test_the_issuer_is_asked_where_its_token_says_no_address(pgadmin: SignOn) -> None:
    assert pgadmin.come_as((), **PERSON | {"email": "grace@EXAMPLE.com"}).inside()
    assert not pgadmin.come_as((), **PERSON | {"email_verified": False}).inside()


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "ada@elsewhere.com"},
        {"email": "ada@example.com.elsewhere.com"},
        {"email": "ada@notexample.com"},
        {"email_verified": False},
    ],
)
def test_others_are_sent_back_to_the_login(pgadmin: SignOn, changes: dict[str, Any]) -> None:
    session = pgadmin.come_as(**PERSON | changes)
    assert not session.inside()
    assert "/login" in session.landed


def test_who_is_logged_in_already_finds_a_new_entry_and_no_old_one(pgadmin: SignOn) -> None:
    session = pgadmin.come_as(**PERSON)
    other = NOTES | {"name": "the notes"}
    pgadmin.up(other, ADMINISTRATOR, oidc=pgadmin.oidc())
    wait_until(lambda: session.tree()["main"].keys() == {"main (administrator)", "the notes"}, PATIENCE)
    pgadmin.up_with()


def test_the_administrators_password_lets_in_only_where_that_is_said(pgadmin: SignOn) -> None:
    assert not PgAdminSession(pgadmin.port).log_in(EMAIL, pgadmin.password)
    pgadmin.up_with(local_login=True)

    def lets_in() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException, LookupError):
            return PgAdminSession(pgadmin.port).log_in(EMAIL, pgadmin.password)
        return False

    wait_until(lets_in, PATIENCE)
    assert pgadmin.come_as(**PERSON).inside()


def test_groups_say_who_may_log_in_and_another_secret_is_taken_over(pgadmin: SignOn) -> None:
    pgadmin.up_with(secret="wrong", domains=[], groups=["dba"])
    of_group, of_another = PERSON | {"groups": ["dba", "other"]}, PERSON | {"groups": ["other"]}
    wait_until(lambda: pgadmin.lets_in(("email", "groups"), **of_group) is False, PATIENCE)
    pgadmin.up_with(domains=[], groups=["dba"])
    wait_until(lambda: pgadmin.lets_in(("email", "groups"), **of_group), PATIENCE)
    assert pgadmin.lets_in(("email", "groups"), **of_another) is False
