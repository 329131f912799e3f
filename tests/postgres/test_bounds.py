"""What logins may take, and what they cannot: the bounds of their sessions, and what PUBLIC had."""

from __future__ import annotations

import psycopg
import pytest

from keelson.errors import UnreachableError
from keelson.postgres.bounds import Bounds, altered_settings
from keelson.postgres.databases import open_access
from keelson.postgres.roles import ExtraLogin, altered_roles
from tests.services import PASSWORD, Service

BOUNDS = Bounds(2, ("public", "order"), "1234ms", "2s", "3min")


def open_bounded(service: Service, login: str, bounds: Bounds = BOUNDS) -> None:
    with service.as_admin() as admin:
        open_access(admin, service.name, bounds={login: bounds})


def shown(connection: psycopg.Connection, name: str) -> str:
    return connection.execute(f"SHOW {name}").fetchone()[0]


def test_a_session_begins_with_the_bounds_of_its_login(database: Service) -> None:
    open_bounded(database, database.roles.app_a)
    parameters = database.server.parameters(database.name, database.roles.app_a, PASSWORD)
    with psycopg.connect(**parameters) as session:  # ours would pin settings of its own
        assert shown(session, "search_path") == 'public, "order"'
        assert shown(session, "statement_timeout") == "1234ms"
        assert shown(session, "lock_timeout") == "2s"
        assert shown(session, "idle_in_transaction_session_timeout") == "3min"
    parameters = database.server.parameters(database.name, database.roles.app_b, PASSWORD)
    with psycopg.connect(**parameters) as session:
        assert shown(session, "statement_timeout") == "0"


@pytest.mark.parametrize(
    "change",
    [
        "ALTER ROLE {login} IN DATABASE {database} SET statement_timeout = 0",
        "ALTER ROLE {login} IN DATABASE {database} RESET search_path",
        "ALTER ROLE {login} IN DATABASE {database} RESET ALL",
    ],
)
def test_bounds_that_somebody_altered_are_seen_and_put_right(
    database: Service, admin: psycopg.Connection, change: str
) -> None:
    login = database.roles.app_a
    wanted = {database.name: {login: BOUNDS}}
    open_bounded(database, login)
    assert not altered_settings(admin, wanted)
    admin.execute(change.format(login=login, database=database.name))
    assert altered_settings(admin, wanted) == {(database.name, login)}
    open_bounded(database, login)
    assert not altered_settings(admin, wanted)


def test_a_setting_of_somebodys_own_stays(database: Service, admin: psycopg.Connection) -> None:
    login = database.roles.app_a
    admin.execute(f"ALTER ROLE {login} IN DATABASE {database.name} SET work_mem = '5MB'")
    open_bounded(database, login)
    query = "SELECT 'work_mem=5MB' = ANY(setconfig) FROM pg_db_role_setting WHERE setrole = %s::regrole"
    assert admin.execute(query, [login]).fetchone() == (True,)


def test_the_limit_of_a_login_holds_and_is_put_right(database: Service, admin: psycopg.Connection) -> None:
    login, limits = database.roles.readonly_a, {database.roles.readonly_a: 1}
    database.open()
    database.ensure_roles(limits=limits)
    with database.as_login(login), pytest.raises(UnreachableError, match="too many connections for role"):
        database.as_login(login)
    assert altered_roles(admin, database.name, limits=limits) == ()
    admin.execute(f"ALTER ROLE {login} CONNECTION LIMIT -1")
    assert altered_roles(admin, database.name, limits=limits) == (login,)


def test_what_public_was_given_is_taken_again(database: Service, admin: psycopg.Connection) -> None:
    database.open()
    admin.execute("CREATE ROLE stranger LOGIN")
    try:
        admin.execute(f"GRANT CONNECT, TEMPORARY, CREATE ON DATABASE {database.name} TO PUBLIC")
        with database.as_admin() as inside:
            inside.execute("GRANT USAGE, CREATE ON SCHEMA public TO PUBLIC")
        database.open()
        with database.as_admin() as inside:
            rights = [
                *(("database", database.name, right) for right in ("CONNECT", "TEMPORARY", "CREATE")),
                *(("schema", "public", right) for right in ("USAGE", "CREATE")),
            ]
            for kind, name, right in rights:
                query = f"SELECT has_{kind}_privilege('stranger', %s, %s)"
                assert inside.execute(query, [name, right]).fetchone() == (False,), (kind, right)
    finally:
        admin.execute("DROP ROLE stranger")


@pytest.mark.parametrize("as_owner", [True, False])
def test_what_any_of_the_creating_roles_makes_later_can_be_read(database: Service, as_owner: bool) -> None:  # noqa: FBT001
    reader = {f"{database.name}_reader": ExtraLogin(privileges=("select",))}
    database.ensure_roles(reader)
    database.open(reader)
    with database.as_admin() as admin:
        admin.execute(f"GRANT CREATE ON SCHEMA public TO {database.roles.migrator}")
    with database.as_migrator() as migrator:
        if as_owner:
            migrator.execute(f"SET ROLE {database.roles.owner}")
        migrator.execute("CREATE TABLE later AS SELECT 1 AS a")
    for login in (database.roles.readonly_a, *reader):
        with database.as_login(login) as session:
            assert session.execute("SELECT a FROM later").fetchone() == (1,)


def test_default_privileges_that_somebody_took_are_given_again(database: Service) -> None:
    database.open()
    roles = database.roles
    with database.as_admin() as admin:
        admin.execute(f"ALTER DEFAULT PRIVILEGES FOR ROLE {roles.owner} REVOKE SELECT ON TABLES FROM {roles.readonly}")
    database.open()
    with database.as_migrator() as migrator:
        migrator.execute(f"SET ROLE {roles.owner}; CREATE TABLE later AS SELECT 1 AS a")
    with database.as_login(roles.readonly_a) as session:
        assert session.execute("SELECT a FROM later").fetchone() == (1,)
