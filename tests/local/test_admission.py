"""Who is let into a real server from where, by the lines that follow from settings; a change of them restarts nothing."""

from __future__ import annotations

import psycopg
import pytest

from keelson.endpoint import Reference, resolve
from keelson.local import server
from keelson.local.registry import Registry
from keelson.postgres.admission import Admission, rules
from tests.local.conftest import LocalStack

HERE = ("127.0.0.1/32",)
AUTH = Admission("auth", ("auth_app_a", "replication"), HERE)


@pytest.fixture
def two(local: LocalStack) -> LocalStack:
    """A server with two databases that PUBLIC may connect to, and a login of each, where the rules alone keep them apart."""
    local.up(hba=rules("host", HERE, [AUTH]))
    for statement in (
        "CREATE DATABASE auth",
        "CREATE DATABASE replication",
        "CREATE ROLE auth_app_a LOGIN PASSWORD 'word'",
        "CREATE ROLE signals_app_a LOGIN PASSWORD 'word'",
        "CREATE ROLE replication LOGIN PASSWORD 'word'",
    ):
        local.execute(statement)
    return local


def refusal(stack: LocalStack, database: str, login: str) -> str:
    """Return why a login is not let in; nothing where it is."""
    parameters = resolve(Reference(stack=stack.key, target="local", server="main")).connection_parameters()
    try:
        psycopg.connect(**parameters | {"dbname": database, "user": login, "password": "word"}).close()
    except psycopg.OperationalError as fault:
        return str(fault)
    return ""


def test_a_login_comes_into_its_services_database_alone(two: LocalStack) -> None:
    assert refusal(two, "auth", "auth_app_a") == ""
    for database, login in (("postgres", "auth_app_a"), ("replication", "auth_app_a"), ("auth", "signals_app_a")):
        assert "pg_hba.conf rejects connection" in refusal(two, database, login)


def test_words_of_pg_hba_are_names_like_others(two: LocalStack) -> None:
    assert refusal(two, "auth", "replication") == ""
    assert "pg_hba.conf rejects" in refusal(two, "replication", "replication")


def test_every_line_is_one_that_postgresql_understands_and_the_last_rejects(two: LocalStack) -> None:
    found = two.execute("SELECT database, user_name, auth_method, error FROM pg_hba_file_rules ORDER BY rule_number")
    assert {error for *_, error in found} == {None}
    assert found[-1][:3] == (["all"], ["all"], "reject")
    assert (["auth"], ["auth_app_a", "replication"], "scram-sha-256", None) in found


def test_a_change_is_taken_over_without_a_restart(two: LocalStack) -> None:
    before = two.pid()
    with server.connect(two.key, "main") as session:
        two.up(hba=rules("host", HERE, [AUTH, Admission("auth", ("signals_app_a",), HERE)]))
        assert session.execute("SELECT 1").fetchone() == (1,), "no session is ended"
    assert refusal(two, "auth", "signals_app_a") == ""
    two.up(hba=rules("host", HERE, []))
    assert "pg_hba.conf rejects" in refusal(two, "auth", "auth_app_a")
    assert two.pid() == before


def test_a_server_that_is_started_again_lets_in_the_same(two: LocalStack) -> None:
    server.stop_stack(two.key)
    server.start_stack(two.key, ["main"])
    assert refusal(two, "auth", "auth_app_a") == ""
    assert "pg_hba.conf rejects" in refusal(two, "auth", "signals_app_a")
    assert Registry(two.key).servers()["main"].hba[-1].endswith("reject")


def test_a_server_of_an_older_release_lets_in_as_before_until_it_is_told_who(local: LocalStack) -> None:
    local.up()
    local.execute("CREATE ROLE anybody LOGIN PASSWORD 'word'")
    assert refusal(local, "postgres", "anybody") == ""
    local.up(hba=rules("host", HERE, []))
    assert "pg_hba.conf rejects" in refusal(local, "postgres", "anybody")
