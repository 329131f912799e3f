"""Each check finds the server that was made worse, and says of the one that is as it should be that it is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from keelson.postgres.hardening import CHECKS, Expected, Judgement, State, examine
from tests.postgres.hardening.conftest import EXPECTED, SHOP, Hard
from tests.servers import PARAMETERS, running

HERE = "host all all 127.0.0.1/32 scram-sha-256"
ABOUT_ITSELF = "SECURITY DEFINER SET search_path = public AS 'SELECT 1'"
PARAMETER = {  # check: (line of the configuration, what is found)
    "password-encryption": ("password_encryption = md5", "password_encryption of the server is md5"),
    "tls": ("ssl = off", "ssl is off"),
    "ciphers": (
        "ssl_min_protocol_version = 'TLSv1.2'\nssl_ciphers = 'HIGH:MEDIUM:+3DES:!aNULL'",
        "ssl_ciphers (HIGH:MEDIUM:+3DES:!aNULL) offers MEDIUM; ssl_ciphers (HIGH:MEDIUM:+3DES:!aNULL) offers 3DES",
    ),
    "log-connections": ("log_connections = off", "log_connections is off"),
    "log-disconnections": ("log_disconnections = off", "log_disconnections is off"),
    "log-prefix": ("log_line_prefix = '%m %u '", "has no process"),
    "log-statement": ("log_statement = none", "log_statement is none"),
    "log-slow": ("log_lock_waits = off", "log_lock_waits is off"),
    "log-time": ("log_timezone = 'Europe/Berlin'", "log_timezone is Europe/Berlin"),
    "client-messages": ("client_min_messages = debug1", "client_min_messages of the server is debug1"),
}
RULE = {  # check: (line of pg_hba.conf, what is found)
    "login-methods": ("local all all trust", "lets in by trust"),
    "encrypted-logins": ("host shop shop_app_a 10.0.0.0/24 scram-sha-256", "lets in without TLS"),
    "narrow-logins": ("hostssl shop shop_app_a 10.0.0.0/8 scram-sha-256", "a network of 16777216 addresses"),
    "superusers-at-home": ("hostssl shop postgres 10.0.0.0/24 scram-sha-256", "lets in postgres"),
}
OBJECT = {  # check: (database, statements, statements that undo them, what is found)
    "superusers": (
        "postgres",
        "ALTER ROLE shop_app_a SUPERUSER",
        "ALTER ROLE shop_app_a NOSUPERUSER",
        "shop_app_a is a superuser",
    ),
    "connection-limits": (
        "postgres",
        "ALTER ROLE shop_app_a CONNECTION LIMIT -1",
        "ALTER ROLE shop_app_a CONNECTION LIMIT 20",
        "shop_app_a may take every connection",
    ),
    "attributes": (
        "postgres",
        "ALTER ROLE shop_app_a CREATEROLE BYPASSRLS",
        "ALTER ROLE shop_app_a NOCREATEROLE NOBYPASSRLS",
        "shop_app_a has CREATEROLE and BYPASSRLS",
    ),
    "public-connect": (
        "postgres",
        "GRANT CONNECT ON DATABASE shop TO PUBLIC",
        "REVOKE CONNECT ON DATABASE shop FROM PUBLIC",
        "PUBLIC has CONNECT on shop",
    ),
    "public-schemas": (
        "shop",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "shop: schema public (PUBLIC has CREATE)",
    ),
    "definer-search-path": (
        "shop",
        "CREATE FUNCTION definer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "DROP FUNCTION definer",
        "shop: definer() (runs as postgres with the search_path of its caller)",
    ),
    "definer-execute": (
        "shop",
        f"CREATE FUNCTION open() RETURNS int LANGUAGE sql {ABOUT_ITSELF}",
        "DROP FUNCTION open",
        "shop: open() (PUBLIC may run it as postgres)",
    ),
    "row-security": (
        "shop",
        "CREATE TABLE theirs (tenant_id int);\nALTER TABLE theirs OWNER TO shop_owner",
        "DROP TABLE theirs",
        "shop: theirs (it has a column tenant_id, and row-level security is off)",
    ),
    "owners": ("shop", "CREATE TABLE mine ()", "DROP TABLE mine", "shop: mine (belongs to postgres)"),
    "extensions": ("shop", "CREATE EXTENSION hstore", "DROP EXTENSION hstore", "shop: hstore (version "),
    "timeouts": (
        "postgres",
        "ALTER ROLE shop_app_a SET lock_timeout = 0",
        "ALTER ROLE shop_app_a SET lock_timeout = '30s'",
        "shop_app_a has no lock_timeout in shop",
    ),
    "replication": (
        "postgres",
        "CREATE ROLE copier LOGIN REPLICATION CREATEDB",
        "DROP ROLE copier",
        "copier may replicate, and do more",
    ),
    "languages": (
        "postgres",
        "GRANT pg_read_server_files TO shop_app",
        "REVOKE pg_read_server_files FROM shop_app",
        "shop_app is a member of pg_read_server_files",
    ),
    "unused-logins": (
        "postgres",
        "CREATE ROLE stranger LOGIN",
        "DROP ROLE stranger",
        "stranger is nobody's, and never ends",
    ),
    "passwords-in-texts": (
        "shop",
        "COMMENT ON SCHEMA public IS 'the app logs in with: a password of the stack'",
        "COMMENT ON SCHEMA public IS NULL",
        "the comment on schema public in shop has a password of the stack",
    ),
}


def told(hard: Hard, check: str) -> str:
    judgement = hard.finding(check).judgement
    assert judgement.state is State.failed, judgement
    return judgement.found


def test_a_server_made_by_us_is_as_it_should_be(hard: Hard) -> None:
    with hard.server.connect() as admin:
        wrong = {found.check.id: found.judgement for found in examine(admin, EXPECTED) if found.counts_against}
    assert wrong == {}


@pytest.mark.parametrize("check", PARAMETER)
def test_a_parameter_that_is_worse_is_found(hard: Hard, check: str) -> None:
    line, said = PARAMETER[check]
    with hard.altered("keelson.conf", line):
        assert said in told(hard, check)
    assert hard.finding(check).judgement.state is State.ok


@pytest.mark.parametrize("check", RULE)
def test_a_line_that_lets_in_too_much_is_found(hard: Hard, check: str) -> None:
    line, said = RULE[check]
    with hard.altered("pg_hba.conf", line, first=True):
        assert said in told(hard, check)
    assert hard.finding(check).judgement.state is State.ok


@pytest.mark.parametrize("check", OBJECT)
def test_an_object_or_role_that_may_too_much_is_found(hard: Hard, check: str) -> None:
    database, worse, mend, said = OBJECT[check]
    with hard.ran(database, worse, mend):
        assert said in told(hard, check)
    assert hard.finding(check).judgement.state is State.ok


def test_an_older_kind_of_password_is_found(hard: Hard) -> None:
    with hard.ran("postgres", "SET password_encryption = md5;\nCREATE ROLE old PASSWORD 'x'", "DROP ROLE old"):
        assert told(hard, "stored-passwords") == "the password of old is no SCRAM verifier"
    assert "all SCRAM verifiers" in hard.finding("stored-passwords").judgement.found


def test_a_server_that_listens_everywhere_and_has_no_checksums_is_found(tmp_path: Path) -> None:
    with running(tmp_path, PARAMETERS | {"listen_addresses": "*"}) as server, server.connect() as admin:
        found = {each.check.id: each.judgement.found for each in examine(admin, EXPECTED)}
        inside = replace(EXPECTED, behind_a_network=True)
        states = {each.check.id: each.judgement.state for each in examine(admin, inside)}
    assert found["addresses"] == "listen_addresses is *"
    assert found["checksums"] == "data_checksums is off"
    assert states["addresses"] is State.ok


def test_archiving_that_fails_is_found_and_so_is_a_backup_that_is_late(hard: Hard) -> None:
    late = replace(
        EXPECTED, backups=lambda: Judgement(State.failed, "a backup of shop was due", ("a backup of shop was due",))
    )
    assert hard.finding("backups", late).judgement.found == "a backup of shop was due"
    with hard.altered("keelson.conf", "archive_command = '/bin/false'"), hard.server.connect() as admin:
        admin.execute("SELECT pg_switch_wal()")
        wait = "SELECT failed_count > 0 FROM pg_stat_archiver"
        deadline = 200
        while admin.execute(wait).fetchone() == (False,) and (deadline := deadline - 1):
            admin.execute("SELECT pg_sleep(0.05)")
        assert "archiving fails with 0000" in told(hard, "backups")
    with hard.server.connect() as admin:
        while admin.execute("SELECT last_archived_time > last_failed_time FROM pg_stat_archiver").fetchone() != (True,):
            admin.execute("SELECT pg_sleep(0.05)")
    assert hard.finding("backups").judgement.state is State.ok


@pytest.mark.parametrize(("mode", "said"), [(0o644, "can be read by others"), (0o600, "")])
def test_a_pgpass_that_others_can_read_is_found(
    hard: Hard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, said: str
) -> None:
    path = tmp_path / "pgpass"
    path.write_text("*:*:*:*:secret\n")
    path.chmod(mode)
    monkeypatch.setenv("PGPASSFILE", str(path))
    judgement = hard.finding("private-files").judgement
    assert judgement.state is (State.failed if said else State.ok)
    assert said in judgement.found


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's file is made by root alone")
def test_a_pgpass_of_another_user_is_found(hard: Hard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pgpass"
    path.write_text("")
    path.chmod(0o600)
    os.chown(path, 1, 1)
    monkeypatch.setenv("PGPASSFILE", str(path))
    assert "belongs to another user" in told(hard, "private-files")


def test_every_check_has_a_server_that_is_worse() -> None:
    here = {"stored-passwords", "addresses", "checksums", "backups", "private-files", "audit"}
    assert {*PARAMETER, *RULE, *OBJECT, *here} == {check.id for check in CHECKS}
    assert len({check.id for check in CHECKS}) == len(CHECKS) == 35


def test_a_line_that_no_connection_reaches_lets_nobody_in(hard: Hard) -> None:
    lines = f"{HERE}\nhost all all all reject\nhost all all all trust\nhostssl all postgres all cert"
    with hard.altered("pg_hba.conf", lines, first=True):
        assert hard.finding("encrypted-logins").judgement.state is State.ok
        assert hard.finding("superusers-at-home").judgement.state is State.ok


def test_a_superuser_that_is_rejected_first_stays_at_home(hard: Hard) -> None:
    lines = f"{HERE}\nhost all postgres all reject\nhostssl all all 10.0.0.0/24 scram-sha-256"
    with hard.altered("pg_hba.conf", lines, first=True):
        assert hard.finding("superusers-at-home").judgement.state is State.ok
        assert "everybody into every database" in told(hard, "narrow-logins")


@pytest.mark.parametrize(
    ("line", "check", "is_found"),
    [
        ("hostssl all postgres 10.0.0.0/8 scram-sha-256", "superusers-at-home", False),
        ("hostssl all postgres 8.8.0.0/16 scram-sha-256", "superusers-at-home", True),
        ("hostssl all postgres all scram-sha-256", "superusers-at-home", True),
        ("hostssl shop shop_app_a 10.0.0.0/8 scram-sha-256", "narrow-logins", False),
        ("hostssl shop shop_app_a 0.0.0.0/0 scram-sha-256", "narrow-logins", True),
        ("hostssl shop shop_app_a all scram-sha-256", "narrow-logins", True),
        ("hostssl shop shop_app_a all cert", "narrow-logins", False),
    ],
)
def test_on_a_network_of_its_own_a_server_is_reached_from_private_networks(
    hard: Hard, line: str, check: str, *, is_found: bool
) -> None:
    with hard.altered("pg_hba.conf", line, first=True):
        state = hard.finding(check, replace(EXPECTED, behind_a_network=True)).judgement.state
    assert state is (State.failed if is_found else State.ok)


def test_a_server_in_a_container_that_lets_in_private_networks_by_name_alone_is_as_it_should_be(hard: Hard) -> None:
    networks = ("127.0.0.1/32", "10.0.0.0/8", "172.16.0.0/12", "fc00::/7")
    lines = [f'hostssl all "postgres","backup" {network} scram-sha-256' for network in networks]
    lines += [f'hostssl "shop" "shop_app_a","shop_app_b" {network} scram-sha-256' for network in networks]
    expected = replace(EXPECTED, behind_a_network=True)
    with hard.altered("pg_hba.conf", "\n".join([*lines, "host all all all reject"]), first=True):
        states = {check: hard.finding(check, expected).judgement.state for check in (*RULE, "addresses")}
    assert set(states.values()) == {State.ok}, states


def test_a_function_with_a_connection_string_is_found_and_one_that_has_a_column_password_is_not(hard: Hard) -> None:
    fine = "CREATE FUNCTION fine() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM 1 WHERE 'password' = 'x'; END $$"
    with hard.ran("shop", fine, "DROP FUNCTION fine"):
        assert hard.finding("passwords-in-texts").judgement.state is State.ok
    body = "SELECT ''host=far user=app password=geheim123''"
    with hard.ran("shop", f"CREATE FUNCTION far() RETURNS text LANGUAGE sql AS '{body}'", "DROP FUNCTION far"):
        found = told(hard, "passwords-in-texts")
    assert found == "the function far() in shop has what looks like a password"
    assert "geheim123" not in found


def test_row_level_security_need_not_be_forced_for_an_owner_that_nobody_works_as(hard: Hard) -> None:
    table = (
        "CREATE TABLE rows (id int);\nALTER TABLE rows OWNER TO shop_owner;\nALTER TABLE rows ENABLE ROW LEVEL SECURITY"
    )
    with hard.ran("shop", table, "DROP TABLE rows"):
        assert hard.finding("row-security").judgement.state is State.ok
        with hard.ran("shop", "GRANT shop_owner TO shop_app_a WITH INHERIT TRUE", "REVOKE shop_owner FROM shop_app_a"):
            assert "row-level security is not forced, and shop_app_a may work as its owner" in told(
                hard, "row-security"
            )


def test_what_an_extension_needs_is_allowed_with_it(hard: Hard) -> None:
    wanted = replace(EXPECTED.databases["shop"], extensions=("plpgsql", "pg_stat_statements", "earthdistance"))
    with hard.ran("shop", "CREATE EXTENSION earthdistance CASCADE", "DROP EXTENSION earthdistance, cube"):
        expected = replace(EXPECTED, databases={"shop": wanted})
        assert hard.finding("extensions", expected).judgement.state is State.ok


def test_without_a_stack_what_only_a_stack_knows_is_not_judged_and_is_not_well(hard: Hard) -> None:
    with hard.server.connect() as admin:
        found = {each.check.id: each for each in examine(admin, Expected())}
    states = {name for name, each in found.items() if each.judgement.state is State.unjudged}
    assert states == {"extensions", "backups", "private-files"}
    assert all(found[name].counts_against for name in states)
    assert "name a stack" in found["extensions"].judgement.found


def test_a_login_that_is_no_superuser_is_told_what_cannot_be_judged(hard: Hard) -> None:
    with hard.server.connect("shop", SHOP.app_a, "a password of 24 letters") as login:
        found = {each.check.id: each.judgement for each in examine(login, Expected())}
    assert found["stored-passwords"].state is State.unjudged
    assert "permission denied" in found["stored-passwords"].found
    assert found["superusers"].state is State.unjudged
    assert {found[name].state for name in ("log-connections", "log-prefix", "owners", "public-schemas")} == {State.ok}


def test_an_owner_that_jobs_run_as_and_nobody_is_let_in_as_needs_no_bounds(hard: Hard) -> None:
    with hard.ran("postgres", "ALTER ROLE shop_owner LOGIN", "ALTER ROLE shop_owner NOLOGIN"):
        assert [hard.finding(check).judgement.state for check in ("connection-limits", "timeouts")] == [
            State.ok,
            State.ok,
        ]
    with hard.ran(
        "postgres",
        "ALTER ROLE shop_owner LOGIN PASSWORD 'a password of 24 letters'",
        "ALTER ROLE shop_owner NOLOGIN PASSWORD NULL",
    ):
        assert told(hard, "connection-limits") == "shop_owner may take every connection"


def test_a_check_that_is_left_out_does_not_count(hard: Hard) -> None:
    with hard.server.connect() as admin:
        found = {each.check.id: each for each in examine(admin, Expected(), ["extensions"])}
    assert found["extensions"].judgement.state is State.skipped
    assert not found["extensions"].counts_against


def test_a_look_changes_nothing(hard: Hard) -> None:
    with hard.server.connect() as admin:
        examine(admin, EXPECTED)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            admin.execute("CREATE TABLE nothing ()")


def test_the_log_says_who_came_from_where_and_what_they_made(hard: Hard) -> None:
    with hard.ran("shop", "CREATE TABLE logged ()", "DROP TABLE logged"):
        pass
    log = hard.server.log.read_text()
    assert "connection authorized: user=postgres database=shop" in log
    assert "postgres@shop/keelson test(127.0.0.1) LOG:  statement: CREATE TABLE logged ()" in log
    assert "disconnection: session time" in log


def test_of_a_foreign_server_a_login_that_may_connect_nowhere_is_unused_and_others_are_not_judged(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as server, server.connect() as admin:
        admin.execute("CREATE DATABASE theirs")
        assert found(admin, "owners").state is State.ok
        admin.execute("CREATE ROLE busy LOGIN")
        assert found(admin, "unused-logins").state is State.unjudged
        admin.execute("ALTER ROLE busy VALID UNTIL '2100-01-01'")
        assert found(admin, "unused-logins").state is State.ok
        admin.execute("REVOKE CONNECT ON DATABASE theirs FROM PUBLIC")
        admin.execute("ALTER ROLE busy VALID UNTIL 'infinity'")
        assert found(admin, "unused-logins").found == "busy may connect to no database, and never ends"


def test_a_migrator_may_work_as_long_as_it_needs_and_an_application_may_not(hard: Hard) -> None:
    worse = "ALTER ROLE shop_migrator SET statement_timeout = 0;\nALTER ROLE shop_readonly_a SET statement_timeout = 0"
    mend = worse.replace("= 0", "= '30s'")
    with hard.ran("postgres", worse, mend):
        assert told(hard, "timeouts") == "shop_readonly_a has no statement_timeout in shop"


def test_a_setting_for_one_database_counts_there(hard: Hard) -> None:
    with hard.ran(
        "postgres",
        "ALTER ROLE shop_app_b IN DATABASE shop SET lock_timeout = 0",
        "ALTER ROLE shop_app_b IN DATABASE shop RESET lock_timeout",
    ):
        assert told(hard, "timeouts") == "shop_app_b has no lock_timeout in shop"


def found(admin: psycopg.Connection, check: str) -> Judgement:
    """What one check says of a server of which nothing else is known."""
    admin.execute("SET default_transaction_read_only = off")
    (judgement,) = [each.judgement for each in examine(admin, Expected()) if each.check.id == check]
    admin.execute("SET default_transaction_read_only = off")
    return judgement
