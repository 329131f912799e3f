"""Login by OpenID Connect: a real pgAdmin and a small issuer on loopback, from discovery to pgAdmin's page."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keelson.containers import pgadmin as of_container
from keelson.containers.model import CONFIG, PartSpec
from keelson.local import daemon, processes, registry, stack, volume
from keelson.local.pgadmin import environment
from keelson.local.registry import Registry
from keelson.pgadmin import sign_on
from tests.local.conftest import LocalStack, free_port, wait_until
from tests.local.pgadmin_client import PgAdminSession
from tests.local.test_pgadmin import ADMINISTRATOR, EMAIL, NOTES, PgAdmin

PROGRAM = Path(__file__).with_name("issuer.py")
SECRET = "a client's secret"
PATIENCE = 90.0  # pgAdmin starts anew where its login changes
OFFICIAL = """
import builtins, importlib.util, os, sys
builtins.SERVER_MODE = True
sys.path.insert(0, importlib.util.find_spec("pgadmin4").submodule_search_locations[0])
sys.argv = ["gunicorn", "--threads", "4", "--timeout", "120", "--bind", os.environ["BIND"], "pgAdmin4:app"]
from gunicorn.app.wsgiapp import run
run()
"""
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


@pytest.mark.thorough
def test_who_is_logged_in_already_finds_a_new_entry_and_no_old_one(pgadmin: SignOn) -> None:
    session = pgadmin.come_as(**PERSON)
    other = NOTES | {"name": "the notes"}
    pgadmin.up(other, ADMINISTRATOR, oidc=pgadmin.oidc())
    wait_until(lambda: session.tree()["main"].keys() == {"main (administrator)", "the notes"}, PATIENCE)
    pgadmin.up_with()


@pytest.mark.thorough
def test_the_administrators_password_lets_in_only_where_that_is_said(pgadmin: SignOn) -> None:
    assert not PgAdminSession(pgadmin.port).log_in(EMAIL, pgadmin.password)
    pgadmin.up_with(local_login=True)

    def lets_in() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException, LookupError):
            return PgAdminSession(pgadmin.port).log_in(EMAIL, pgadmin.password)
        return False

    wait_until(lets_in, PATIENCE)
    assert pgadmin.come_as(**PERSON).inside()


@pytest.mark.thorough
def test_groups_say_who_may_log_in_and_another_secret_is_taken_over(pgadmin: SignOn) -> None:
    pgadmin.up_with(secret="wrong", domains=[], groups=["dba"])
    of_group, of_another = PERSON | {"groups": ["dba", "other"]}, PERSON | {"groups": ["other"]}
    wait_until(lambda: pgadmin.lets_in(("email", "groups"), **of_group) is False, PATIENCE)
    pgadmin.up_with(domains=[], groups=["dba"])
    wait_until(lambda: pgadmin.lets_in(("email", "groups"), **of_group), PATIENCE)
    assert pgadmin.lets_in(("email", "groups"), **of_another) is False


def _as_in_the_official_image(pgadmin: SignOn, folder: Path, port: int) -> dict[str, str]:
    """Write what that image is given and what its entrypoint makes of it; return pgAdmin's environment."""
    oidc = pgadmin.oidc()
    settings = {"email": EMAIL, "entries": [NOTES], "protected": False, "oidc": oidc}
    spec = PartSpec("docker", "key", "id", "pgadmin", "pgadmin", "dpage/pgadmin4:9", 5050, 0, settings)
    server = Registry(pgadmin.local.key).server("main")
    assert server
    listed = of_container._list(spec).replace('"Host": "main"', '"Host": "127.0.0.1"').replace("5432", str(server.port))
    password = Registry(pgadmin.local.key).password("main", "notes_reader").replace("\\", r"\\").replace(":", r"\:")
    texts = {
        "servers.json": listed,
        "pgpass": f"127.0.0.1:{server.port}:*:notes_reader:{password}\n",
        sign_on.FILE: json.dumps(oidc | {"client_secret": SECRET}),
        of_container.PROGRAM: Path(str(sign_on.__file__)).read_text(),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    given = of_container.PgAdminKind().container(spec).environment
    lines = [f"{name.removeprefix('PGADMIN_CONFIG_')} = {text}" for name, text in given.items() if "CONFIG_" in name]
    places = {"DATA_DIR": "", "SQLITE_PATH": "pgadmin4.db", "SESSION_DB_PATH": "sessions", "STORAGE_DIR": "storage"}
    lines += [f"{name} = {str(folder / place)!r}" for name, place in (places | {"LOG_FILE": "log"}).items()]
    distro = "\n".join(line for line in lines if "DISTRO_FILE" not in line)
    (folder / "config_distro.py").write_text(distro.replace(CONFIG, str(folder)))
    return {
        "CONFIG_DISTRO_FILE_PATH": str(folder / "config_distro.py"),
        "PGADMIN_SETUP_EMAIL": EMAIL,
        "PGADMIN_SETUP_PASSWORD": "set at its first start",
        "PGSSLROOTCERT": str(registry.directory(pgadmin.local.key) / "tls" / "ca.crt"),
        "HOME": str(folder),
        "BIND": f"127.0.0.1:{port}",
    }


@pytest.mark.thorough
def test_the_official_image_does_the_same_by_its_configuration_alone(pgadmin: SignOn, tmp_path: Path) -> None:
    """Its Python is elsewhere; pgAdmin, and what its entrypoint writes, are the same."""
    port = free_port()
    variables = os.environ | _as_in_the_official_image(pgadmin, tmp_path, port)
    official = SignOn(pgadmin.local, port, pgadmin.issuer)
    with subprocess.Popen([environment() / "bin" / "python", "-c", OFFICIAL], env=variables) as process:
        try:
            wait_until(lambda: official.lets_in(("email", "email_verified"), **PERSON), PATIENCE)
            session = official.come_as(**PERSON)
            assert session.tree()["main"].keys() == {"notes"}
            assert session.connect("main", "notes")
            assert official.lets_in(("email",), email="ada@elsewhere.com") is False
        finally:
            process.kill()
