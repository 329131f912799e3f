from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from psycopg import errors

from keelson.errors import IdentifierError, OwnershipError, SettingsError, UnreachableError
from keelson.postgres import catalog, ownership
from keelson.postgres.databases import close_access, drop_database, ensure_database, grant_schemas
from keelson.postgres.roles import ExtraLogin
from tests.services import PASSWORD, Service


def exists(admin: psycopg.Connection, name: str) -> bool:
    return catalog.database_size(admin, name) is not None


def migrate(service: Service, statement: str) -> None:
    """Run a statement as a migration would, and what follows it."""
    with service.as_migrator() as connection:
        connection.execute(f"SET ROLE {service.roles.owner}")
        connection.execute(statement)
        connection.execute("RESET ROLE")
        grant_schemas(connection, service.name)


def test_a_database_is_utf8_owned_by_the_service_and_has_its_extensions(
    service: Service, admin: psycopg.Connection
) -> None:
    service.make("timescaledb", "citext")
    query = """SELECT pg_encoding_to_char(encoding), pg_get_userbyid(datdba), datlocprovider::text, datlocale
        FROM pg_database WHERE datname = %s"""
    assert admin.execute(query, [service.name]).fetchone() == ("UTF8", service.roles.owner, "b", "C.UTF-8")
    with service.as_admin() as connection:
        made = {row[0] for row in connection.execute("SELECT extname FROM pg_extension")}
        assert {"timescaledb", "citext", "pg_stat_statements"} <= made
        assert connection.execute(
            "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'public'"
        ).fetchone() == (service.roles.owner,)


def test_making_it_twice_keeps_it_and_adds_new_extensions(service: Service) -> None:
    service.make()
    migrate(service, "CREATE TABLE t AS SELECT 1 AS a")
    service.ensure_database("citext")
    with service.as_admin() as connection:
        assert connection.execute("SELECT a FROM t").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM pg_extension WHERE extname = 'citext'").fetchone() == (1,)


def test_an_extension_that_the_server_lacks_is_named_before_anything_is_made(
    service: Service, admin: psycopg.Connection
) -> None:
    service.ensure_roles()
    with pytest.raises(
        SettingsError, match=f"'postgis' of the database '{service.name}' .* 127.0.0.1:{service.server.port}"
    ):
        service.ensure_database("postgis")
    assert not exists(admin, service.name)


@pytest.mark.parametrize("name", ["postgres", "template1", "x; DROP DATABASE postgres", 'a"b', "pg_x", "A"])
def test_a_bad_name_is_refused(admin: psycopg.Connection, service: Service, name: str) -> None:
    with pytest.raises(IdentifierError):
        ensure_database(admin, service.server.connect, service.stack_id, name, "nobody")


def test_only_the_migrator_connects_before_access_is_opened(database: Service) -> None:
    database.as_migrator().close()
    closed = (database.roles.app_a, database.roles.app_b, database.roles.readonly_a, database.roles.readonly_b)
    for login in closed:
        with pytest.raises(UnreachableError, match="permission denied for database"):
            database.as_login(login)
    database.open()
    database.open()
    for login in closed:
        database.as_login(login).close()


def test_a_closed_database_has_no_session_but_the_migrators(database: Service, admin: psycopg.Connection) -> None:
    logins = {"auditor": ExtraLogin(privileges=("select",))}
    database.ensure_roles(logins)
    database.open(logins)
    application, migrator = database.as_login(database.roles.app_a), database.as_migrator()
    close_access(admin, database.stack_id, database.name)
    with pytest.raises(psycopg.OperationalError):
        application.execute("SELECT 1")
    migrator.execute("SELECT 1")
    for login in (*database.roles.logins[1:], "auditor"):
        with pytest.raises(UnreachableError, match="permission denied for database"):
            database.as_login(login)
    database.open(logins)
    database.as_login("auditor").close()
    for connection in (application, migrator):
        connection.close()


def test_a_database_of_another_stack_is_not_closed(database: Service, admin: psycopg.Connection) -> None:
    database.open()
    with pytest.raises(OwnershipError, match="belongs to another stack"):
        close_access(admin, "ffffffffffff", database.name)
    database.as_login(database.roles.app_a).close()


def test_renewing_an_open_database_does_not_close_it(database: Service) -> None:
    database.open()
    database.ensure_database()
    database.as_login(database.roles.app_a).close()


def test_no_login_reaches_another_database(database: Service, admin: psycopg.Connection) -> None:
    other = replace(database, name=f"{database.name}_other")
    other.make()
    database.open()
    other.open()
    try:
        for name in (other.name, "postgres", "template1"):
            for login in database.roles.logins:
                with pytest.raises(UnreachableError, match="permission denied"):
                    database.as_login(login, name)
    finally:
        drop_database(admin, other.stack_id, other.name)


def test_the_application_reads_and_writes_but_makes_nothing(database: Service) -> None:
    database.open()
    migrate(database, "CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY, n serial, a int)")
    with database.as_login(database.roles.app_a) as app:
        app.execute("INSERT INTO t (a) VALUES (1)")
        app.execute("UPDATE t SET a = 2")
        app.execute("CREATE TEMP TABLE mine AS SELECT * FROM t")
        app.execute("DELETE FROM t")
        for forbidden in (
            "CREATE TABLE x (a int)",
            "CREATE SCHEMA s",
            "DROP TABLE t",
            "TRUNCATE t",
            "ALTER TABLE t ADD b int",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                app.execute(forbidden)
        with pytest.raises(errors.InsufficientPrivilege):
            app.execute(f"SET ROLE {database.roles.owner}")


def test_a_reader_reads_and_writes_nothing(database: Service) -> None:
    database.open()
    migrate(
        database,
        "CREATE TABLE t AS SELECT 1 AS a; CREATE VIEW v AS SELECT a FROM t; CREATE MATERIALIZED VIEW m AS SELECT a FROM t",
    )
    with database.as_login(database.roles.readonly_b) as reader:
        for name in "tvm":
            assert reader.execute(f"SELECT a FROM {name}").fetchone() == (1,)
        for forbidden in ("INSERT INTO t VALUES (2)", "UPDATE t SET a = 2", "DELETE FROM t", "CREATE TABLE x (a int)"):
            with pytest.raises(errors.InsufficientPrivilege):
                reader.execute(forbidden)


def test_the_migrator_has_no_rights_until_it_becomes_the_owner(database: Service) -> None:
    migrate(database, "CREATE TABLE t AS SELECT 1 AS a")
    with database.as_migrator() as migrator:
        with pytest.raises(errors.InsufficientPrivilege):
            migrator.execute("SELECT * FROM t")
        migrator.execute(f"SET ROLE {database.roles.owner}")
        assert migrator.execute("SELECT a FROM t").fetchone() == (1,)


def test_tables_and_schemas_of_later_migrations_are_readable_at_once(database: Service) -> None:
    database.open()
    with database.as_migrator() as migrator:
        migrator.execute(f"SET ROLE {database.roles.owner}")
        migrator.execute("CREATE SCHEMA market_data; CREATE TABLE market_data.t AS SELECT 1 AS a")
    with database.as_login(database.roles.readonly_a) as reader:
        assert reader.execute("SELECT a FROM market_data.t").fetchone() == (1,)


def test_tables_that_another_role_made_become_readable(database: Service) -> None:
    database.open()
    with database.as_admin() as admin:
        admin.execute(
            "CREATE SCHEMA made_by_hand; CREATE TABLE made_by_hand.t AS SELECT 1 AS a; CREATE SEQUENCE made_by_hand.s"
        )
        with database.as_login(database.roles.readonly_a) as reader, pytest.raises(errors.InsufficientPrivilege):
            reader.execute("SELECT * FROM made_by_hand.t")
        grant_schemas(admin, database.name)
    with database.as_login(database.roles.readonly_a) as reader:
        assert reader.execute("SELECT a FROM made_by_hand.t").fetchone() == (1,)
    with database.as_login(database.roles.app_a) as app:
        app.execute("SELECT nextval('made_by_hand.s')")


def test_what_a_migration_revoked_stays_revoked(database: Service) -> None:
    database.open()
    app = database.roles.app
    migrate(
        database,
        f"CREATE TABLE audit (a int); REVOKE UPDATE, DELETE ON audit FROM {app}; CREATE TABLE hidden (); REVOKE ALL ON hidden FROM {app}",
    )
    with database.as_admin() as admin:
        grant_schemas(admin, database.name)
        held = "SELECT has_table_privilege(%s, 'audit', 'INSERT'), has_table_privilege(%s, 'audit', 'DELETE'), has_table_privilege(%s, 'hidden', 'SELECT')"
        assert admin.execute(held, [app] * 3).fetchone() == (True, False, False)


def test_a_further_login_has_its_privileges_in_its_schemas_alone(service: Service) -> None:
    login = f"{service.name}_x"
    reads = {login: ExtraLogin(privileges=("select",), schemas=("one", "two"))}
    service.make(logins=reads)
    for schema in ("one", "two", "three"):
        migrate(service, f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.t AS SELECT 1 AS a")
    service.open(reads)
    migrate(service, "CREATE TABLE one.later AS SELECT 1 AS a")
    with service.as_login(login) as session:
        for table in ("one.t", "one.later", "two.t"):
            assert session.execute(f"SELECT a FROM {table}").fetchone() == (1,)
        for forbidden in ("SELECT * FROM three.t", "INSERT INTO one.t VALUES (2)", "CREATE TABLE x (a int)"):
            with pytest.raises(errors.InsufficientPrivilege):
                session.execute(forbidden)
    writes = {login: ExtraLogin(privileges=("select", "insert"), schemas=("three",))}
    service.open(writes)
    service.open(writes)
    with service.as_login(login) as session:
        session.execute("INSERT INTO three.t VALUES (2)")
        with pytest.raises(errors.InsufficientPrivilege):
            session.execute("SELECT * FROM one.t")


def test_an_unknown_privilege_is_refused(database: Service) -> None:
    with pytest.raises(SettingsError, match="'truncate'; known are"):
        database.open({"somebody": ExtraLogin(privileges=("truncate",))})


def test_dropping_takes_a_database_in_use_and_is_done_when_it_is_gone(
    database: Service, admin: psycopg.Connection
) -> None:
    with database.as_migrator():
        drop_database(admin, database.stack_id, database.name)
    assert not exists(admin, database.name)
    drop_database(admin, database.stack_id, database.name)
    assert ownership.owned_by(admin, "database", database.name) is None


def test_only_the_stack_that_made_a_database_drops_it(database: Service, admin: psycopg.Connection) -> None:
    with pytest.raises(OwnershipError, match="another stack"):
        drop_database(admin, "ffffffffffff", database.name)
    assert exists(admin, database.name)


def test_a_database_made_by_hand_is_neither_taken_nor_dropped(service: Service, admin: psycopg.Connection) -> None:
    service.ensure_roles()
    admin.execute(f"CREATE DATABASE {service.name}")
    try:
        with pytest.raises(OwnershipError, match="is not Keelson's; adopt it"):
            service.ensure_database()
        with pytest.raises(OwnershipError):
            drop_database(admin, service.stack_id, service.name)
        service.ensure_database(adopt=True)
        service.ensure_database()
    except BaseException:
        admin.execute(f"DROP DATABASE {service.name}")
        raise


def test_a_database_that_was_swapped_for_another_is_not_dropped(database: Service, admin: psycopg.Connection) -> None:
    admin.execute(f"DROP DATABASE {database.name}")
    admin.execute(f"CREATE DATABASE {database.name}")
    with pytest.raises(OwnershipError, match="is not Keelson's"):
        drop_database(admin, database.stack_id, database.name)
    admin.execute(f"DROP DATABASE {database.name}")


def test_work_that_a_kill_cut_off_is_recognised(service: Service, admin: psycopg.Connection) -> None:
    service.ensure_roles()
    owner = ownership.Owner(service.stack_id, service.name)
    with ownership.server_lock(admin):
        ownership.intend(admin, "database", service.name, owner)
    service.ensure_database()
    with ownership.server_lock(admin):  # killed between CREATE DATABASE and the claim
        ownership.intend(admin, "database", service.name, owner)
    other = replace(service, stack_id="ffffffffffff")
    with pytest.raises(OwnershipError):
        other.ensure_database()
    service.ensure_database()
    row = ownership.owned_by(admin, "database", service.name)
    assert row
    assert row.oid == ownership.object_oid(admin, "database", service.name)


def test_a_database_that_a_kill_left_half_dropped_is_made_anew(database: Service, admin: psycopg.Connection) -> None:
    admin.execute("UPDATE pg_database SET datconnlimit = -2 WHERE datname = %s", [database.name])
    with pytest.raises(UnreachableError, match="invalid database"):
        database.as_admin()
    database.ensure_database()
    database.as_admin().close()


def test_jobs_of_the_community_edition_may_run_as_the_owner_and_nobody_logs_in_as_it(
    service: Service, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = %s"
    service.make("timescaledb")
    assert admin.execute(query, [service.roles.owner]).fetchone() == (False, None)
    monkeypatch.setattr("keelson.postgres.databases.timescale_edition", lambda _: "community")
    service.make("timescaledb")
    service.ensure_roles()
    assert admin.execute(query, [service.roles.owner]).fetchone() == (True, None)
    for password in ("", PASSWORD):
        with pytest.raises(UnreachableError, match="password"):
            service.server.connect(service.name, service.roles.owner, password or "x")


def test_the_catalog_tells_size_and_versions(database: Service, admin: psycopg.Connection) -> None:
    assert catalog.server_version(admin) // 10000 == 17
    assert catalog.database_size(admin, database.name) > 1_000_000
    assert catalog.database_size(admin, "nowhere") is None
    assert "timescaledb" in catalog.available_extensions(admin)
    with database.as_admin() as connection:
        assert catalog.schema_version(connection) is None


def test_an_operators_own_logins_keep_the_database_that_is_closed_to_all_others(
    database: Service, admin: psycopg.Connection
) -> None:
    admitted = "SELECT rolname FROM pg_roles WHERE has_database_privilege(oid, 'postgres', 'CONNECT') AND NOT rolsuper"
    with admin.transaction(force_rollback=True):
        admin.execute("ALTER SCHEMA keelson RENAME TO aside")  # as on a server where nothing of ours is yet
        admin.execute("CREATE ROLE streaming_replica LOGIN REPLICATION")
        with ownership.server_lock(admin):
            assert ("streaming_replica",) in admin.execute(admitted).fetchall()
            assert (database.roles.app_a,) not in admin.execute(admitted).fetchall()
