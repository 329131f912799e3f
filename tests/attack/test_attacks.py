"""What somebody tries who has an application's password: all of it is refused by a real server.

The names in braces are those of the service's roles, and of its neighbour's.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from keelson.errors import UnreachableError
from keelson.postgres.names import BACKUP
from tests.attack.conftest import bring_up
from tests.services import PASSWORD, Service

ATTACKERS = ("app_a", "readonly_a", "auditor")
BECOME_ANOTHER = [
    "SET ROLE {owner}",
    "SET ROLE {migrator}",
    "SET ROLE {neighbour}_app",
    "SET ROLE postgres",
    "SET ROLE backup",
    "SET SESSION AUTHORIZATION postgres",
    "GRANT {owner} TO CURRENT_USER",
    "GRANT pg_read_all_data TO CURRENT_USER",
    "CREATE ROLE mine SUPERUSER",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
    "ALTER ROLE {owner} PASSWORD 'mine'",
    "ALTER ROLE {neighbour}_app_a PASSWORD 'mine'",
    "DROP ROLE {readonly}",
    "REASSIGN OWNED BY {owner} TO CURRENT_USER",
    "ALTER TABLE accounts OWNER TO CURRENT_USER",
    "ALTER DATABASE {name} OWNER TO CURRENT_USER",
]
CHANGE_WHAT_HOLDS_THEM = [
    "INSERT INTO schema_versions (version, description) VALUES (99, 'mine')",
    "UPDATE schema_versions SET checksum = 'mine'",
    "DELETE FROM schema_versions",
    "TRUNCATE schema_versions",
    "DROP TABLE schema_versions",
    "ALTER TABLE schema_versions ADD COLUMN mine int",
    "ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE notes NO FORCE ROW LEVEL SECURITY",
    "ALTER POLICY own ON notes USING (true)",
    "DROP POLICY own ON notes",
    "CREATE POLICY mine ON notes USING (true)",
    "TRUNCATE accounts",
    "DROP TABLE accounts",
    "CREATE TRIGGER mine BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT ALL ON TABLES TO PUBLIC",
    "ALTER ROLE {owner} SET search_path = mine",
    "ALTER DATABASE {name} SET search_path = mine",
    "ALTER ROLE {migrator} IN DATABASE {name} SET search_path = mine",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "SELECT pg_reload_conf()",
    "SET session_replication_role = replica",
    "SET lo_compat_privileges = on",
]
MAKE_SOMETHING_TO_STEP_INTO = [
    "CREATE TABLE public.mine (a int)",
    "CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql RETURN 'mine'",
    "CREATE OPERATOR public.= (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
    "CREATE SCHEMA mine",
    "CREATE SCHEMA AUTHORIZATION CURRENT_USER",
    "CREATE OR REPLACE FUNCTION public.total() RETURNS numeric LANGUAGE sql RETURN 0",
    "ALTER FUNCTION public.total() RESET search_path",
    "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE c AS 'libc', 'system'",
    "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE internal AS 'pg_backend_pid'",
    "CREATE EXTENSION dblink",
    "CREATE EXTENSION postgres_fdw",
    "CREATE EXTENSION file_fdw",
    "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION pg_temp.mine()",
    "CREATE SUBSCRIPTION mine CONNECTION 'host=localhost' PUBLICATION p WITH (connect = false)",
    "CREATE PUBLICATION mine FOR ALL TABLES",
    "CREATE DATABASE mine",
    "CREATE TABLESPACE mine LOCATION '/tmp'",
]
READ_AND_WRITE_FILES = [
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_read_binary_file('/etc/passwd')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_stat_file('PG_VERSION')",
    "SELECT pg_ls_logdir()",
    "SELECT pg_ls_waldir()",
    "CREATE TEMP TABLE lines (l text); COPY lines FROM '/etc/passwd'",
    "COPY accounts TO '/tmp/keelson_attack'",
    "CREATE TEMP TABLE lines (l text); COPY lines FROM PROGRAM 'id'",
    "COPY accounts TO PROGRAM 'cat'",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/keelson_attack')",
    "LOAD '/tmp/keelson_attack'",
]
LOOK_AT_SECRETS = [
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT umoptions FROM pg_user_mapping",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT * FROM pg_file_settings",
    "SELECT * FROM pg_statistic",
    "SELECT subconninfo FROM pg_subscription",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    "SET row_security = off; SELECT * FROM notes",
]
WRITES = [
    "INSERT INTO accounts VALUES (3, 'mallory', 1000)",
    "UPDATE accounts SET balance = 1000",
    "DELETE FROM accounts",
    "SELECT * FROM accounts FOR UPDATE",
    "DO $$ BEGIN LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE; END $$",
]


def log_in(service: Service, attacker: str, database: str = "") -> psycopg.Connection:
    return service.as_login(f"{service.name}_{attacker}", database)


def refuse(session: psycopg.Connection, service: Service, attack: str) -> None:
    """Check that the server says that this role may not."""
    roles = service.roles
    names = {part: getattr(roles, part) for part in ("owner", "migrator", "readonly")}
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute(attack.format(**names, name=service.name, neighbour=f"{service.name}_neighbour"))


@pytest.mark.parametrize("attacker", ATTACKERS)
@pytest.mark.parametrize(
    "attacks",
    [
        BECOME_ANOTHER,
        CHANGE_WHAT_HOLDS_THEM,
        MAKE_SOMETHING_TO_STEP_INTO,
        READ_AND_WRITE_FILES,
        LOOK_AT_SECRETS,
    ],
    ids=["become another", "change what holds them", "make a trap", "files and programs", "secrets"],
)
@pytest.mark.usefixtures("neighbour")
def test_a_login_that_was_stolen_is_refused(ours: Service, attacker: str, attacks: list[str]) -> None:
    with ours.as_admin():  # a session of the administrator's that could be ended
        for attack in attacks:
            with log_in(ours, attacker) as session:
                refuse(session, ours, attack)


@pytest.mark.parametrize("attacker", ["readonly_a", "auditor"])
def test_who_only_reads_writes_nothing(ours: Service, attacker: str) -> None:
    for attack in WRITES:
        with log_in(ours, attacker) as session:
            refuse(session, ours, attack)
    with log_in(ours, attacker) as session:
        assert session.execute("SELECT count(*) FROM accounts").fetchone() == (2,)


@pytest.mark.parametrize("attacker", [*ATTACKERS, "migrator"])
def test_no_login_comes_into_another_database(ours: Service, neighbour: Service, attacker: str) -> None:
    for database in (neighbour.name, "postgres", "template1"):
        with pytest.raises(UnreachableError, match="permission denied for database"):
            log_in(ours, attacker, database)


def test_the_migrator_may_nothing_but_become_the_owner_who_may_nothing_outside(
    ours: Service, neighbour: Service
) -> None:
    with log_in(ours, "migrator") as session:
        for attack in ("SELECT * FROM accounts", *READ_AND_WRITE_FILES[:3]):
            refuse(session, ours, attack)
    outside = [*READ_AND_WRITE_FILES, *LOOK_AT_SECRETS[:3], "CREATE ROLE mine", "CREATE EXTENSION dblink"]
    for attack in (*outside, f"SET ROLE {neighbour.roles.owner}", "SET ROLE postgres", "ALTER SYSTEM SET jit = on"):
        with log_in(ours, "migrator") as session:
            session.execute(f"SET ROLE {ours.roles.owner}")
            refuse(session, ours, attack)


def test_a_function_of_ones_own_takes_no_others_place(ours: Service) -> None:
    """The only schema that an application may write to is its session's own, in which no function is looked for."""
    with log_in(ours, "app_a") as session:
        session.execute("CREATE FUNCTION pg_temp.lower(text) RETURNS text LANGUAGE sql RETURN 'mine'")
        session.execute("SET search_path = pg_temp, public")
        assert session.execute("SELECT lower('THEIRS')").fetchone() == ("theirs",)


def test_a_table_of_ones_own_does_not_deceive_a_function_that_runs_as_its_owner(ours: Service) -> None:
    with log_in(ours, "app_a") as session:
        session.execute("CREATE TEMP TABLE accounts (balance numeric); INSERT INTO accounts VALUES (1000000)")
        session.execute("SET search_path = pg_temp, public")
        assert session.execute("SELECT total()").fetchone() == (30,)


def test_policies_hold_whatever_a_session_sets(ours: Service) -> None:
    with log_in(ours, "app_a") as session:
        assert session.execute("SELECT count(*) FROM notes").fetchone() == (0,)
        session.execute("SET app.holder = 'alice'")
        assert session.execute("SELECT body FROM notes").fetchall() == [("hers",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("INSERT INTO notes VALUES ('bob', 'forged')")


def test_others_statements_are_not_seen(ours: Service, neighbour: Service) -> None:
    with neighbour.as_login(neighbour.roles.app_a) as other, log_in(ours, "app_a") as session:
        other.execute("SELECT 'a secret in a statement'")
        seen = session.execute("SELECT query FROM pg_stat_activity").fetchall()
        assert not [query for (query,) in seen if query and "a secret" in query and "pg_stat_activity" not in query]
        of_others = "SELECT DISTINCT query FROM pg_stat_statements WHERE userid <> current_user::regrole"
        assert session.execute(of_others).fetchall() == [("<insufficient privilege>",)]


def connected_by(session: psycopg.Connection, function: str, target: str) -> str | None:
    """Return with which SQLSTATE a function did not connect; None where it did."""
    query = "SELECT * FROM dblink(%s, 'SELECT 1') AS t(a int)" if function == "dblink" else f"SELECT {function}(%s)"
    try:
        session.execute(query, [target])
    except psycopg.Error as fault:
        return fault.sqlstate
    return None


def test_a_grant_by_one_who_may_not_grants_nothing(ours: Service) -> None:
    with log_in(ours, "app_a") as session:
        session.execute("GRANT ALL ON accounts TO PUBLIC")  # which PostgreSQL answers with a warning
        query = "SELECT FROM pg_class c, aclexplode(c.relacl) a WHERE c.relname = 'accounts' AND a.grantee = 0"
        assert session.execute(query).fetchall() == []


@pytest.mark.parametrize("function", ["dblink", "dblink_connect", "dblink_connect_u"])
def test_an_extension_that_connects_leads_nowhere(
    ours: Service, neighbour: Service, directory: Path, function: str
) -> None:
    """The neighbour has asked for dblink, which connects neither as the server's own user nor as its login elsewhere."""
    bring_up(neighbour, directory, "dblink", "postgres_fdw", "file_fdw")
    where = f"host=127.0.0.1 port={ours.server.port} dbname={ours.name}"
    as_itself = f"{where} user={neighbour.roles.app_a} password='{PASSWORD}'"
    for target in (f"{where} user=postgres", as_itself, f"dbname={ours.name}"):
        with log_in(neighbour, "app_a") as session:
            assert connected_by(session, function, target) in {"42501", "2F003", "08001", "08006"}
    for wrapper in ("postgres_fdw", "file_fdw"):
        with log_in(neighbour, "app_a") as session:
            refuse(session, neighbour, f"CREATE SERVER mine FOREIGN DATA WRAPPER {wrapper}")


def test_the_login_for_backups_is_no_way_in_either(ours: Service) -> None:
    with ours.as_login(BACKUP) as session:
        session.execute("SET default_transaction_read_only = off")
        another = [attack for attack in BECOME_ANOTHER if attack != f"SET ROLE {BACKUP}"]
        for attack in (*WRITES, *another, *READ_AND_WRITE_FILES[:4], *MAKE_SOMETHING_TO_STEP_INTO[:4]):
            refuse(session, ours, attack)


def test_a_stolen_login_cannot_take_all_connections(ours: Service) -> None:
    sessions = [log_in(ours, "app_a") for _ in range(5)]
    try:
        with pytest.raises(UnreachableError, match="too many connections for role"):
            log_in(ours, "app_a")
        log_in(ours, "app_b").close()
    finally:
        for session in sessions:
            session.close()
