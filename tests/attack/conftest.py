"""Two services on one real server, brought up by the library as `keelson up` does it, and whoever attacks them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keelson import migrations
from keelson.postgres.backup_login import drop_backup_login, ensure_backup_login
from keelson.postgres.bounds import Bounds
from keelson.postgres.databases import drop_database, grant_schemas, open_access
from keelson.postgres.roles import ExtraLogin, drop_roles
from tests.servers import Server
from tests.services import PASSWORD, Service

VAULT = """
CREATE TABLE accounts (id int PRIMARY KEY, holder text NOT NULL, balance numeric NOT NULL);
INSERT INTO accounts VALUES (1, 'alice', 10), (2, 'bob', 20);
CREATE TABLE notes (holder text NOT NULL, body text);
INSERT INTO notes VALUES ('alice', 'hers'), ('bob', 'his');
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON notes USING (holder = current_setting('app.holder', true));
CREATE FUNCTION total() RETURNS numeric LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
    RETURN (SELECT sum(balance) FROM public.accounts);
"""
BOUNDS = Bounds(5, ("public",), "1min", "30s", "1min")


def bring_up(service: Service, directory: Path, *extensions: str) -> None:
    """Bring a service up: roles, database, migrations, grants, access."""
    logins = {f"{service.name}_auditor": ExtraLogin(privileges=("select",), schemas=("public",))}
    service.ensure_roles(logins, limits=dict.fromkeys(service.roles.logins, BOUNDS.connections))
    service.ensure_database(*extensions)
    with service.as_migrator() as migrator:
        migrations.apply(migrator, migrations.read_directory(directory), owner=service.roles.owner)
        grant_schemas(migrator, service.name)
    with service.as_admin() as admin:
        bounds = dict.fromkeys((*service.roles.logins, *logins), BOUNDS)
        open_access(admin, service.name, logins, bounds=bounds)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The migrations of both services."""
    made = tmp_path_factory.mktemp("attack") / "migrations"
    made.mkdir()
    (made / "001_vault.sql").write_text(VAULT)
    (made / "001_vault.down.sql").write_text("DROP TABLE accounts;\n")
    return made


@pytest.fixture(scope="module")
def ours(server: Server, directory: Path) -> Iterator[Service]:
    """The service whose logins attack, on a server with the login for backups."""
    made = Service(server, "vault")
    with server.connect() as admin:
        ensure_backup_login(admin, made.stack_id, PASSWORD)
    bring_up(made, directory)
    yield made
    end(made)
    with server.connect() as admin:
        drop_backup_login(admin, made.stack_id)


@pytest.fixture(scope="module")
def neighbour(ours: Service, directory: Path) -> Iterator[Service]:
    """The other service of the server."""
    made = replace(ours, name=f"{ours.name}_neighbour")
    bring_up(made, directory)
    yield made
    end(made)


def end(service: Service) -> None:
    """Drop a service."""
    with service.server.connect() as admin:
        drop_database(admin, service.stack_id, service.name)
        drop_roles(admin, service.stack_id, service.name)
