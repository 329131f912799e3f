"""What the project's own migrations make is as it should be."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from keelson import migrations
from keelson.postgres.databases import drop_database
from keelson.postgres.hardening import Expected, State, Wanted, examine
from keelson.postgres.roles import ExtraLogin, drop_roles
from keelson.settings.database import DatabaseDefinition, read_database
from tests.servers import Server
from tests.services import Service
from tests.stack.harness import CHECKOUT

DATABASES = sorted(each.name for each in (CHECKOUT / "sql").iterdir())
ABOUT = {
    *("public-connect", "public-schemas", "definer-search-path", "definer-execute", "row-security"),
    *("owners", "extensions", "languages", "passwords-in-texts"),
}


@pytest.fixture(params=DATABASES)
def made(request: pytest.FixtureRequest, server: Server) -> Iterator[tuple[Service, DatabaseDefinition]]:
    """One of the project's databases with its migrations, on a server with TimescaleDB."""
    folder = CHECKOUT / "sql" / request.param
    definition = read_database(folder, CHECKOUT)
    service = Service(server, request.param)
    logins = {role: ExtraLogin(**rights) for role, rights in definition.rights.items()}
    service.make("timescaledb", *definition.extensions, logins=logins)
    with service.as_migrator() as migrator:
        migrations.apply(
            migrator, migrations.read_directory(folder / "migrations", CHECKOUT), owner=service.roles.owner
        )
    service.open(logins)
    yield service, definition
    with server.connect() as admin:
        drop_database(admin, service.stack_id, service.name)
        drop_roles(admin, service.stack_id, service.name)


def test_a_database_of_the_project_is_as_it_should_be(
    made: tuple[Service, DatabaseDefinition], admin: psycopg.Connection
) -> None:
    service, definition = made
    extensions = ("plpgsql", "pg_stat_statements", "timescaledb", *definition.extensions)
    expected = Expected(databases={service.name: Wanted(service.roles.owner, extensions)})
    found = {each.check.id: each.judgement for each in examine(admin, expected)}
    assert {name: found[name] for name in ABOUT if found[name].state is not State.ok} == {}
