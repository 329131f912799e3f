from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from keelson.errors import IdentifierError, LockError, OwnershipError, SettingsError, UnreachableError
from keelson.postgres.ownership import LOCK_KEY, server_lock
from keelson.postgres.roles import ExtraLogin, drop_roles, ensure_roles
from tests.services import PASSWORD, Service


def attributes(admin: psycopg.Connection, role: str) -> tuple[bool, ...]:
    query = "SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = %s"
    return admin.execute(query, [role]).fetchone()


def names(admin: psycopg.Connection, prefix: str) -> list[str]:
    query = "SELECT rolname FROM pg_roles WHERE rolname LIKE %s ORDER BY 1"
    return [row[0] for row in admin.execute(query, [prefix.replace("_", r"\_") + "\\_%"])]


def test_groups_hold_grants_and_logins_log_in(service: Service, admin: psycopg.Connection) -> None:
    service.ensure_roles()
    for role in service.roles.groups:
        assert attributes(admin, role) == (False,) * 6
    for role in service.roles.logins:
        assert attributes(admin, role) == (True, False, False, False, False, False)
    assert len(names(admin, service.name)) == 8


def test_making_roles_twice_changes_nothing(service: Service, admin: psycopg.Connection) -> None:
    service.ensure_roles()
    before = admin.execute("SELECT rolname, oid FROM pg_roles ORDER BY 1").fetchall()
    service.ensure_roles()
    assert admin.execute("SELECT rolname, oid FROM pg_roles ORDER BY 1").fetchall() == before


def test_a_role_that_was_tampered_with_is_put_right(service: Service, admin: psycopg.Connection) -> None:
    service.ensure_roles()
    admin.execute(f"ALTER ROLE {service.roles.app_a} CREATEROLE CREATEDB NOLOGIN")
    admin.execute(f"GRANT {service.roles.owner} TO {service.roles.app_a}")
    service.ensure_roles()
    assert attributes(admin, service.roles.app_a) == (True, False, False, False, False, False)
    member = "SELECT pg_has_role(%s, %s, 'MEMBER')"
    assert admin.execute(member, [service.roles.app_a, service.roles.owner]).fetchone() == (False,)


def test_no_password_reaches_the_servers_log_or_statistics(service: Service, admin: psycopg.Connection) -> None:
    admin.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    admin.execute("SELECT pg_stat_statements_reset()")
    before = len(service.server.log.read_text())  # other tests write verifiers by hand
    service.ensure_roles()
    stored = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [service.roles.app_a]).fetchone()[0]
    assert stored.startswith("SCRAM-SHA-256$")
    log = service.server.log.read_text()[before:]
    assert service.roles.app_a in log
    statements = " ".join(row[0] for row in admin.execute("SELECT query FROM pg_stat_statements"))
    for secret in (PASSWORD, stored, "SCRAM-SHA-256$"):
        assert secret not in log
        assert secret not in statements


def test_a_login_without_a_password_is_refused_by_name(service: Service, admin: psycopg.Connection) -> None:
    passwords = dict.fromkeys(service.roles.logins, PASSWORD) | {service.roles.app_b: ""}
    with pytest.raises(SettingsError, match=f"'{service.roles.app_b}' has no password"):
        ensure_roles(admin, service.stack_id, service.name, passwords)
    assert names(admin, service.name) == []


@pytest.mark.parametrize("bad", ["Robert'); DROP ROLE x;--", "postgres", "user"])
def test_a_bad_name_changes_nothing(admin: psycopg.Connection, bad: str) -> None:
    before = admin.execute("SELECT count(*) FROM pg_roles").fetchone()
    with pytest.raises(IdentifierError):
        ensure_roles(admin, "stack", bad, {})
    assert admin.execute("SELECT count(*) FROM pg_roles").fetchone() == before


def test_a_role_that_somebody_made_by_hand_is_refused_and_adopted_on_request(
    service: Service, admin: psycopg.Connection
) -> None:
    admin.execute(f"CREATE ROLE {service.roles.app}")
    with pytest.raises(OwnershipError, match=f"'{service.roles.app}' .* is not Keelson's; adopt it"):
        service.ensure_roles()
    assert names(admin, service.name) == [service.roles.app], "the transaction is undone as a whole"
    service.ensure_roles(adopt=True)
    service.ensure_roles()


def test_another_stacks_role_is_refused_even_to_adopters(service: Service) -> None:
    service.ensure_roles()
    other = replace(service, stack_id="ffffffffffff")
    for adopt in (False, True):
        with pytest.raises(OwnershipError, match="another stack \\(0123456789ab\\)"):
            other.ensure_roles(adopt=adopt)


def test_two_services_cannot_share_a_further_login(service: Service, admin: psycopg.Connection) -> None:
    service.ensure_roles({"shared_reader": ExtraLogin(inherits="readonly")})
    other = replace(service, name=f"{service.name}_2")
    with pytest.raises(OwnershipError, match=f"belongs to the service '{service.name}'"):
        other.ensure_roles({"shared_reader": ExtraLogin(inherits="readonly")})
    assert names(admin, other.name) == []


def test_further_logins_follow_the_settings(service: Service, admin: psycopg.Connection) -> None:
    reader = f"{service.name}_reader"
    member = "SELECT pg_has_role(%s, %s, 'USAGE')"
    service.ensure_roles({reader: ExtraLogin(inherits="readonly")})
    assert admin.execute(member, [reader, service.roles.readonly]).fetchone() == (True,)
    service.ensure_roles({reader: ExtraLogin(inherits="app")})
    assert admin.execute(member, [reader, service.roles.readonly]).fetchone() == (False,)
    assert admin.execute(member, [reader, service.roles.app]).fetchone() == (True,)
    service.ensure_roles({})
    assert reader not in names(admin, service.name)


def test_the_connection_limit_holds_for_the_applications_logins(database: Service) -> None:
    database.open()
    database.ensure_roles(connection_limit=1)
    with (
        database.as_login(database.roles.app_a),
        pytest.raises(UnreachableError, match="too many connections for role"),
    ):
        database.as_login(database.roles.app_a)
    with database.as_migrator(), database.as_migrator():
        pass


def test_dropping_walks_all_databases_where_the_roles_own_something(
    service: Service, admin: psycopg.Connection
) -> None:
    service.ensure_roles()
    elsewhere = f"{service.name}_elsewhere"
    for name in (service.name, elsewhere):
        admin.execute(f"CREATE DATABASE {name} OWNER {service.roles.owner}")
        with service.server.connect(name) as connection:
            connection.execute(f"CREATE TABLE t (a int); ALTER TABLE t OWNER TO {service.roles.owner}")
            connection.execute("INSERT INTO t VALUES (1)")
            connection.execute(f"GRANT SELECT ON t TO {service.roles.readonly}")
    try:
        drop_roles(admin, service.stack_id, service.name)
        assert names(admin, service.name) == []
        with service.server.connect(elsewhere) as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,), "no data goes with a role"
        drop_roles(admin, service.stack_id, service.name)
    finally:
        for name in (service.name, elsewhere):
            admin.execute(f"DROP DATABASE {name}")


def test_dropping_ends_sessions_and_leaves_other_stacks_alone(database: Service, admin: psycopg.Connection) -> None:
    drop_roles(admin, "ffffffffffff", database.name)
    assert len(names(admin, database.name)) == 8
    with database.as_migrator() as session:
        drop_roles(admin, database.stack_id, database.name)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert names(admin, database.name) == []


def test_dropping_what_somebody_else_dropped_is_done(service: Service, admin: psycopg.Connection) -> None:
    service.ensure_roles()
    admin.execute(f"DROP ROLE {service.roles.app_b}")
    drop_roles(admin, service.stack_id, service.name)
    assert names(admin, service.name) == []
    service.ensure_roles()


def test_a_role_made_anew_by_somebody_else_is_not_dropped(service: Service, admin: psycopg.Connection) -> None:
    service.ensure_roles()
    admin.execute(f"DROP ROLE {service.roles.app_b}")
    admin.execute(f"CREATE ROLE {service.roles.app_b}")
    drop_roles(admin, service.stack_id, service.name)
    assert names(admin, service.name) == [service.roles.app_b]
    admin.execute(f"DROP ROLE {service.roles.app_b}")


def test_many_services_at_once_meet_no_concurrent_update(service: Service) -> None:
    many = [replace(service, name=f"{service.name}_{number}") for number in range(6)]

    def work(one: Service) -> None:
        for _ in range(3):
            one.ensure_roles()
        with one.server.connect() as admin:
            drop_roles(admin, one.stack_id, one.name)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, many))


def test_one_who_waits_too_long_learns_who_holds_the_server(service: Service, admin: psycopg.Connection) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with service.server.connect() as other, server_lock(other):
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    try:
        with (
            pytest.raises(LockError, match=r"held by keelson test \(pid \d+, login postgres, connected for"),
            server_lock(admin, 0.2),
        ):
            pass
    finally:
        done.set()
        thread.join()
    with server_lock(admin, 0.2), server_lock(admin, 0.2):
        pass
    assert admin.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s::bigint & 4294967295", [LOCK_KEY]
    ).fetchone() == (0,)


def test_work_on_roles_from_a_services_database_is_refused(database: Service) -> None:
    with database.as_admin() as connection, pytest.raises(OwnershipError, match="from the database 'postgres'"):
        drop_roles(connection, database.stack_id, database.name)
