"""The login that backups are made as: it reads all, and may do nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from keelson.errors import OwnershipError, UnreachableError
from keelson.postgres import backup_login
from keelson.postgres.backup_login import drop_backup_login, ensure_backup_login
from keelson.postgres.catalog import has_role
from keelson.postgres.names import BACKUP
from tests.services import PASSWORD, Service

STACK = "0123456789ab"


@pytest.fixture
def backed_up(database: Service, admin: psycopg.Connection) -> Iterator[Service]:
    """A service whose table hides its rows from all by row security, on a server with the login."""
    with database.as_admin() as inside:
        inside.execute("CREATE TABLE hidden AS SELECT generate_series(1, 3) AS a")
        inside.execute(f"ALTER TABLE hidden OWNER TO {database.roles.owner}")
        inside.execute("ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; ALTER TABLE hidden FORCE ROW LEVEL SECURITY")
    ensure_backup_login(admin, STACK, PASSWORD)
    yield database
    drop_backup_login(admin, STACK)


def as_backup(service: Service) -> psycopg.Connection:
    return service.as_login(BACKUP)


def test_it_reads_rows_that_forced_row_security_hides_from_their_owner(backed_up: Service) -> None:
    with as_backup(backed_up) as login:
        assert login.execute("SELECT count(*) FROM hidden").fetchone() == (3,)
        assert backup_login.sees_all(login)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO hidden VALUES (4)",
        "DELETE FROM hidden",
        "CREATE TABLE public.mine (a int)",
        "CREATE TEMP TABLE mine (a int)",
        "CREATE ROLE mine",
        "SET ROLE {owner}",
        "SELECT pg_read_file('PG_VERSION')",
        "COPY hidden TO PROGRAM 'cat'",
        "UPDATE pg_authid SET rolsuper = true",
    ],
)
def test_it_may_do_nothing_else(backed_up: Service, statement: str) -> None:
    with as_backup(backed_up) as login:
        login.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute(statement.format(owner=backed_up.roles.owner))


def test_a_database_that_is_made_later_lets_it_in(backed_up: Service, admin: psycopg.Connection) -> None:
    admin.execute(f"REVOKE CONNECT ON DATABASE {backed_up.name} FROM {BACKUP}")
    with pytest.raises(UnreachableError):
        as_backup(backed_up)
    backed_up.ensure_database()
    as_backup(backed_up).close()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER ROLE backup NOBYPASSRLS",
        "ALTER ROLE backup CREATEROLE",
        "GRANT pg_write_all_data TO backup",
        "REVOKE pg_read_all_data FROM backup",
        "REVOKE CONNECT ON DATABASE {name} FROM backup",
    ],
)
def test_what_somebody_changed_is_seen_and_put_right(
    backed_up: Service, admin: psycopg.Connection, change: str
) -> None:
    assert backup_login.stands(admin)
    admin.execute(change.format(name=backed_up.name))
    assert not backup_login.stands(admin)
    ensure_backup_login(admin, STACK, PASSWORD)
    assert backup_login.stands(admin)


def test_a_database_with_what_it_cannot_read_is_left_to_the_administrator(backed_up: Service) -> None:
    with backed_up.as_admin() as admin:
        admin.execute("SELECT lo_from_bytea(0, 'large')")
    with as_backup(backed_up) as login:
        assert not backup_login.sees_all(login)


@pytest.mark.usefixtures("backed_up")
def test_another_stacks_login_is_left_alone(admin: psycopg.Connection) -> None:
    with pytest.raises(OwnershipError, match="another stack"):
        ensure_backup_login(admin, "ffffffffffff", PASSWORD)
    drop_backup_login(admin, "ffffffffffff")
    assert has_role(admin, BACKUP)
