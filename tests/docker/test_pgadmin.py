"""pgAdmin in a container: its list is there after a login, opens by itself, and follows the stack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keelson.containers import pgadmin
from keelson.containers.model import CONFIG
from keelson.docker import answers, images, part, pgadmin_login
from keelson.docker.part import DockerSpec
from keelson.endpoint import Reference, resolve
from keelson.errors import SettingsError, UnreachableError
from tests.docker.ground import Ground, ground
from tests.local.conftest import wait_until
from tests.local.pgadmin_client import PgAdminSession, get

EMAIL = "admin@keelson.local"
ADMINISTRATOR = {"group": "main", "name": "main (administrator)", "server": "main", "role": "postgres"}
READER = {"group": "main", "name": "notes", "server": "main", "database": "notes", "role": "notes_readonly_a"}
AS_ITS_ENTRYPOINT = f"""
import os
with open("{pgadmin.DISTRO}", "w") as file:
    for name, value in os.environ.items():
        if name.startswith("PGADMIN_CONFIG_"):
            print(name.removeprefix("PGADMIN_CONFIG_"), "=", value, file=file)
"""


@pytest.fixture(scope="module")
def on(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with ground(docker_host) as made:
            images.build(made.client, ["postgres", "pgadmin"], lambda *_: None)
            made.up(made.spec("main", "server", "postgres", version="17", timescaledb=False, parameters={}))
            made.up(_spec(made, ADMINISTRATOR))
            wait_until(lambda: _status(made, "127.0.0.1") == 200, 60)
            yield made


def _spec(on: Ground, *entries: dict[str, str]) -> DockerSpec:
    return on.spec("pgadmin", "pgadmin", "pgadmin", email=EMAIL, entries=[*entries], protected=False)


def _port(on: Ground) -> int:
    return on.target.locate(on.key, "pgadmin").port


def _status(on: Ground, host: str) -> int:
    try:
        return get(_port(on), "/misc/ping", host)
    except (OSError, UnreachableError):
        return 0


def _session(on: Ground) -> PgAdminSession:
    session = PgAdminSession(_port(on))
    assert session.log_in(EMAIL, on.ask("password", server="pgadmin", role="admin"))
    return session


def test_its_list_is_there_after_a_login_and_opens_by_itself(on: Ground) -> None:
    session = _session(on)
    assert set(session.tree()["main"]) == {"main (administrator)"}
    assert session.connect("main", "main (administrator)")
    wait_until(lambda: on.container("pgadmin").attrs["State"]["Health"]["Status"] == "healthy", 30)


def test_it_is_asked_by_its_names_alone_and_shows_no_password(on: Ground) -> None:
    assert (_status(on, "pgadmin:5050"), _status(on, "evil.example")) == (200, 403)
    shown = str(on.container("pgadmin").attrs)
    for server, role in (("pgadmin", "admin"), ("main", "postgres")):
        assert on.ask("password", server=server, role=role) not in shown


def test_it_follows_another_list_and_another_password_without_a_restart(on: Ground) -> None:
    before = on.container("pgadmin").attrs["State"]["StartedAt"]
    with resolve(Reference(stack=on.key, target=on.place, server="main")).connect() as admin:
        password = on.ask("ensure_password", server="main", role=READER["role"])
        admin.execute(f"CREATE ROLE {READER['role']} LOGIN PASSWORD '{password}'")
        admin.execute("CREATE DATABASE notes TEMPLATE template0")
    session = _session(on)
    on.up(_spec(on, ADMINISTRATOR, READER), {"admin": "another password of the user's"})
    wait_until(lambda: not session.inside())  # whoever has the old password is out
    session = _session(on)
    assert set(session.tree()["main"]) == {"main (administrator)", "notes"}
    assert session.connect("main", "notes")
    assert on.container("pgadmin").attrs["State"]["StartedAt"] == before


def test_the_official_image_is_given_the_administrators_password_of_now(on: Ground) -> None:
    """Its Python is elsewhere; the program and pgAdmin's models are the same."""
    program = (Path(str(pgadmin_login.__file__))).read_text()
    container, folder = on.container("pgadmin"), "/usr/local/lib/python3.13/dist-packages/pgadmin4"
    answers.run(container, "sh", "-c", "printf 'set by the program' >/tmp/other")
    answers.run(container, "python3", "-c", AS_ITS_ENTRYPOINT)
    run = ("sh", "-c", f'CONFIG_DISTRO_FILE_PATH={pgadmin.DISTRO} exec python3 -c "$@"', "run")
    other = program.replace(pgadmin_login.PASSWORD, "/tmp/other")  # noqa: S108 - inside the container
    answers.run(container, *run, other, EMAIL, folder)
    assert PgAdminSession(_port(on)).log_in(EMAIL, "set by the program")
    answers.run(container, *run, program, EMAIL, folder)
    assert _session(on).inside()


def test_only_an_image_that_reads_its_list_at_the_start_gets_another_container_for_another_list(on: Ground) -> None:
    def variables(image: str, *entries: dict[str, str]) -> dict[str, Any]:
        return dict(part.container(replace(_spec(on, *entries), image=image)).environment)

    ours, official = _spec(on).image, "dpage/pgadmin4:9.17"
    assert variables(ours, ADMINISTRATOR) == variables(ours, ADMINISTRATOR, READER)
    assert variables(official, ADMINISTRATOR) == variables(official, ADMINISTRATOR)
    assert variables(official, ADMINISTRATOR) != variables(official, ADMINISTRATOR, READER)


def test_the_files_hold_what_the_official_image_reads(on: Ground) -> None:
    found = json.loads(answers.run(on.container("pgadmin"), "cat", f"{CONFIG}/servers.json"))
    entry = found["Servers"]["1"]
    assert (entry["Host"], entry["Port"], entry["MaintenanceDB"]) == ("main", 5432, "postgres")
    assert entry["ConnectionParameters"]["sslmode"] == "verify-full"
    listed = answers.run(on.container("pgadmin"), "stat", "-c", "%a %u", f"{CONFIG}/pgpass")
    assert listed.split() == ["600", "5050"]


def test_an_address_that_cannot_log_in_is_refused(on: Ground) -> None:
    spec = on.spec("pgadmin", "pgadmin", "pgadmin", email="nobody", entries=[])
    with pytest.raises(SettingsError, match=r"keelson:pgadmin\.email"):
        part.check(spec)
