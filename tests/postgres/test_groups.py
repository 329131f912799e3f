"""Groups of further logins, on a real server."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
import pytest

from keelson.postgres.roles import ExtraLogin, altered_roles
from tests.services import Service

READS = ExtraLogin(privileges=("select",), schemas=("far",), is_group=True)
WRITES = ExtraLogin(grants={"far.open": ("select", "insert")}, is_group=True)


@pytest.fixture
def filled(database: Service) -> Service:
    """A service with two tables in a schema that is not public."""
    with database.as_migrator() as migrator:
        migrator.execute(f"SET ROLE {database.roles.owner}")
        migrator.execute("CREATE SCHEMA far; CREATE TABLE far.open (a int); CREATE TABLE far.closed (a int)")
    return database


def let_in(service: Service, logins: Mapping[str, ExtraLogin]) -> dict[str, ExtraLogin]:
    """Bring further roles to what is said; a name is given the service's in front, as roles are a whole server's."""
    found = {
        f"{service.name}_{name}": ExtraLogin(
            login.privileges,
            login.schemas,
            login.inherits,
            login.grants,
            tuple(f"{service.name}_{group}" for group in login.member_of),
            login.is_group,
        )
        for name, login in logins.items()
    }
    service.ensure_roles(found)
    service.open(found)
    return found


def may(service: Service, login: str, statement: str) -> bool:
    with service.as_login(f"{service.name}_{login}") as session:
        try:
            session.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            return False
    return True


def test_members_have_what_their_groups_have_and_nothing_else(filled: Service) -> None:
    dora, emil = ExtraLogin(member_of=("readers",)), ExtraLogin(member_of=("readers", "writers"))
    let_in(filled, {"readers": READS, "writers": WRITES, "dora": dora, "emil": emil})
    insert = "INSERT INTO far.open VALUES (1)"
    assert [may(filled, who, "SELECT * FROM far.closed") for who in ("dora", "emil")] == [True, True]
    assert [may(filled, who, insert) for who in ("dora", "emil")] == [False, True]
    assert not may(filled, "emil", "INSERT INTO far.closed VALUES (1)")
    assert not may(filled, "emil", f"SET ROLE {filled.name}_writers"), "what it has it inherits"


def test_what_is_made_later_is_the_groups_too(filled: Service) -> None:
    let_in(filled, {"readers": READS, "dora": ExtraLogin(member_of=("readers",))})
    with filled.as_migrator() as migrator:
        migrator.execute(f"SET ROLE {filled.roles.owner}; CREATE TABLE far.later (a int)")
    assert may(filled, "dora", "SELECT * FROM far.later")


def test_a_group_lets_nobody_in(filled: Service, admin: psycopg.Connection) -> None:
    let_in(filled, {"readers": READS})
    group = f"{filled.name}_readers"
    query = "SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = %s"
    assert admin.execute(query, [group]).fetchone() == (False, None)
    assert admin.execute("SELECT has_database_privilege(%s, %s, 'CONNECT')", [group, filled.name]).fetchone() == (
        False,
    )


def test_a_membership_that_is_no_longer_named_is_taken_and_the_login_stays(filled: Service) -> None:
    let_in(filled, {"readers": READS, "dora": ExtraLogin(member_of=("readers",))})
    let_in(filled, {"readers": READS, "dora": ExtraLogin()})
    assert not may(filled, "dora", "SELECT * FROM far.open")
    assert may(filled, "dora", "SELECT 1")


def test_a_group_that_is_no_longer_named_is_dropped_with_its_grants(filled: Service, admin: psycopg.Connection) -> None:
    let_in(filled, {"readers": READS, "dora": ExtraLogin(member_of=("readers",))})
    let_in(filled, {"dora": ExtraLogin()})
    query = "SELECT FROM pg_roles WHERE rolname = %s"
    assert admin.execute(query, [f"{filled.name}_readers"]).fetchall() == []
    assert not may(filled, "dora", "SELECT * FROM far.open")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("ALTER ROLE {name}_readers LOGIN", "{name}_readers"),
        ("ALTER ROLE {name}_readers CREATEDB", "{name}_readers"),
        ("REVOKE {name}_readers FROM {name}_dora", "{name}_dora"),
        ("GRANT {name}_readers TO {name}_readonly_a", "{name}_readonly_a"),
        ("GRANT {name}_owner TO {name}_readers", "{name}_readers"),
    ],
)
def test_what_somebody_altered_is_named_and_put_back(
    filled: Service, admin: psycopg.Connection, change: str, named: str
) -> None:
    wanted = {"readers": READS, "dora": ExtraLogin(member_of=("readers",))}
    logins = let_in(filled, wanted)
    assert altered_roles(admin, filled.name, logins) == ()
    admin.execute(change.format(name=filled.name))
    assert altered_roles(admin, filled.name, logins) == (named.format(name=filled.name),)
    let_in(filled, wanted)
    assert altered_roles(admin, filled.name, logins) == ()


def test_a_group_that_somebody_made_beside_keeps_its_members(filled: Service, admin: psycopg.Connection) -> None:
    admin.execute("CREATE ROLE guests")
    try:
        logins = {"readers": READS, "dora": ExtraLogin(member_of=("readers",))}
        let_in(filled, logins)
        admin.execute(f"GRANT guests TO {filled.name}_dora")
        let_in(filled, logins)
        query = "SELECT pg_has_role(%s, 'guests', 'MEMBER')"
        assert admin.execute(query, [f"{filled.name}_dora"]).fetchone() == (True,)
    finally:
        admin.execute("DROP ROLE guests")
