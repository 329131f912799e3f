"""Roles of a whole stack: what is altered by hand is named and put back, and an edited setting is an update."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.stack.harness import NOTES, StackUnderTest, notes_up


@pytest.fixture(scope="module")
def up(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """One stack for all tests, up."""
    return notes_up(make_shared_stack)


def begins_with(admin: psycopg.Connection, login: str) -> list[str]:
    query = "SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setrole = %s::regrole ORDER BY 1"
    return [row[0] for row in admin.execute(query, [login]).fetchall()]


def test_what_was_altered_by_hand_is_named_and_put_back(up: StackUnderTest) -> None:
    with up.connect("notes", "admin") as admin:
        before = begins_with(admin, "notes_app_a")
        assert "statement_timeout=5min" in before
        admin.execute("ALTER ROLE notes_app_a IN DATABASE notes SET statement_timeout = 0")
        admin.execute("ALTER ROLE notes_readonly_a CREATEDB; ALTER ROLE backup NOBYPASSRLS")
        admin.execute("GRANT CONNECT ON DATABASE notes TO PUBLIC")
        again = up.keelson("up")
        assert "altered by hand: backup, notes, notes_app_a, notes_readonly_a" in again.stdout + again.stderr
        assert begins_with(admin, "notes_app_a") == before
        flags = (
            "SELECT rolname FROM pg_roles WHERE rolcreatedb AND NOT rolsuper OR rolname = 'backup' AND NOT rolbypassrls"
        )
        assert admin.execute(flags).fetchall() == []
        acl = "SELECT FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = 'notes' AND a.grantee = 0"
        assert admin.execute(acl).fetchall() == []
    assert "unchanged" in up.keelson("up").stdout


def test_an_edited_bound_is_an_update_and_nothing_altered_by_hand(up: StackUnderTest) -> None:
    text = "server: main\nbounds: {app: {statement_timeout: 7s, connections: 11}}\n"
    up.write_service("notes", NOTES | {"database.yaml": text})
    done = up.keelson("up")
    assert "by hand" not in done.stdout + done.stderr
    with up.connect("notes", "admin") as admin:
        assert "statement_timeout=7s" in begins_with(admin, "notes_app_b")
        query = "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'notes_app_b'"
        assert admin.execute(query).fetchone() == (11,)
    assert "unchanged" in up.keelson("up").stdout


def test_a_promise_that_cannot_be_kept_is_refused_before_anything_runs(up: StackUnderTest) -> None:
    text = "server: main\nbounds: {app: {connections: 500}}\n"
    up.write_service("notes", NOTES | {"database.yaml": text})
    failed = up.keelson("up", check=False)
    assert failed.returncode == 1
    assert "the services of the server main may open 500 connections at once (notes 500)" in failed.stderr
    up.write_service("notes")
    up.keelson("up")
