"""Further logins that may use single tables."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from keelson.errors import SettingsError
from keelson.postgres.roles import ExtraLogin
from tests.services import Service


@pytest.fixture
def filled(database: Service) -> Service:
    """A service with two schemas of tables."""
    with database.as_migrator() as migrator:
        migrator.execute(f"SET ROLE {database.roles.owner}")
        migrator.execute("CREATE TABLE open (a int); CREATE TABLE closed (a int); CREATE SEQUENCE numbers")
        migrator.execute('CREATE SCHEMA far; CREATE TABLE far.open (a int); CREATE VIEW far."Odd" AS SELECT 1 AS a')
    return database


def let_in(service: Service, **grants: tuple[str, ...]) -> str:
    login = f"{service.name}_clerk"
    logins = {login: ExtraLogin(grants={name.replace("__", "."): rights for name, rights in grants.items()})}
    service.ensure_roles(logins)
    service.open(logins)
    return login


def refused(session: psycopg.Connection, *statements: str) -> None:
    for statement in statements:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(statement)


def test_a_login_may_what_it_was_granted_on_single_tables_and_nothing_else(filled: Service) -> None:
    login = let_in(filled, open=("select", "insert"), far__open=("select",), far__Odd=("select",), numbers=("select",))
    with filled.as_login(login) as session:
        session.execute("INSERT INTO open VALUES (1)")
        assert session.execute("SELECT a FROM open").fetchall() == [(1,)]
        session.execute('SELECT a FROM far.open; SELECT a FROM far."Odd"; SELECT last_value FROM numbers')
    with filled.as_login(login) as session:
        refused(session, "SELECT * FROM closed", "DELETE FROM open", "INSERT INTO far.open VALUES (1)")


def test_a_grant_that_the_settings_no_longer_name_is_taken(filled: Service) -> None:
    let_in(filled, open=("select",), far__open=("select",))
    login = let_in(filled, open=("insert",))
    with filled.as_login(login) as session:
        session.execute("INSERT INTO open VALUES (1)")
        refused(session, "SELECT * FROM open", "SELECT * FROM far.open")


def test_what_somebody_granted_to_a_role_of_his_own_stays(filled: Service, admin: psycopg.Connection) -> None:
    admin.execute("CREATE ROLE somebody")
    try:
        with filled.as_admin() as inside:
            inside.execute("GRANT SELECT ON closed TO somebody")
            let_in(filled, open=("select",))
            assert inside.execute("SELECT has_table_privilege('somebody', 'closed', 'SELECT')").fetchone() == (True,)
            inside.execute("DROP OWNED BY somebody")
    finally:
        admin.execute("DROP ROLE somebody")


def test_a_table_that_is_not_there_is_told_and_changes_nothing(filled: Service) -> None:
    login = let_in(filled, open=("select",))
    with pytest.raises(
        SettingsError, match=r"'far\.gone', which is no table, view or sequence of the database"
    ) as caught:
        let_in(filled, far__gone=("select",))
    assert "\n" not in str(caught.value)
    with filled.as_login(login) as session:
        session.execute("SELECT * FROM open")


def test_grants_at_once_meet_no_concurrent_update(filled: Service) -> None:
    """Six at a time on the same objects; PostgreSQL refuses two that change an object's rights at once."""
    login = let_in(filled, open=("select",))
    logins = {login: ExtraLogin(grants={"open": ("select",)}, privileges=("select",), schemas=("far",))}

    def work(_: int) -> None:
        for _ in range(5):
            filled.open(logins)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    with filled.as_login(login) as session:
        session.execute("SELECT a FROM open; SELECT a FROM far.open")
