"""The product's own databases on a test server: their real roles, migrations and seeds, without a stack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from keelson.migrations import apply, read_directory
from keelson.migrations.seeds import apply_seeds, read_seeds
from keelson.postgres.databases import drop_database, grant_schemas
from keelson.postgres.roles import drop_roles
from keelson.settings.database import DatabaseDefinition, read_database
from tests.servers import Server
from tests.services import Service

ROOT = Path(__file__).parents[1]
ALICE, BOB, CAROL = (f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "123")
NOBODY = "99999999-9999-4999-8999-999999999999"


def definition(name: str) -> DatabaseDefinition:
    return read_database(ROOT / "sql" / name, ROOT)


@contextmanager
def database(server: Server, name: str, environment: str = "dev") -> Iterator[Service]:
    """Make one of the product's databases for the block, filled with the seeds of an environment, open to its logins."""
    service = Service(server, name)
    folder = ROOT / "sql" / name
    try:
        service.make(*definition(name).extensions)
        with service.as_migrator() as migrator:
            apply(migrator, read_directory(folder / "migrations"), owner=service.roles.owner)
            grant_schemas(migrator, name)
            folders = definition(name).seed_folders(environment, folder)
            apply_seeds(migrator, read_seeds(folder / "seeds", folders), owner=service.roles.owner)
        service.open()
        yield service
    finally:
        with server.connect() as admin:
            drop_database(admin, service.stack_id, name)
            drop_roles(admin, service.stack_id, name)


def as_application(service: Service, user: str = "") -> psycopg.Connection:
    """Connect as the application does, working for `user`."""
    connection = service.as_login(service.roles.app_a)
    connection.execute("SELECT set_config('app.current_user_id', %s, false)", [user])
    return connection
