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


def test_groups_of_further_logins_show_in_the_preview_and_are_kept_as_they_are(up: StackUnderTest) -> None:
    """As another team's reader and application would have them: a login for each person, and groups for what they may."""
    groups = "groups:\n  readers: {privileges: [select]}\n  clerks: {grants: {notes: [select, insert]}}\n"
    logins = "logins:\n  dora: {member_of: [readers]}\n  emil: {member_of: [readers, clerks]}\n"
    up.write_service("notes", NOTES | {"database.yaml": f"server: main\n{groups}{logins}"})
    shown = up.pulumi("preview", "--diff").stdout
    for line in ("+ readers", "+ clerks", "+ emil", "member_of : [", "is_group  : true"):
        assert line in shown
    up.keelson("up")
    with up.connect("notes", "emil") as emil, up.connect("notes", "dora") as dora:
        emil.execute("INSERT INTO notes (body) VALUES ('mine')")
        assert dora.execute("SELECT count(*) FROM notes").fetchone() == (11,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            dora.execute("INSERT INTO notes (body) VALUES ('hers')")
    with up.connect("notes", "admin") as admin:
        admin.execute("REVOKE readers FROM dora; ALTER ROLE clerks LOGIN")
    again = up.keelson("up")
    assert "altered by hand: clerks, dora" in again.stdout + again.stderr
    with up.connect("notes", "dora") as dora:
        assert dora.execute("SELECT count(*) FROM notes").fetchone() == (11,)
    assert "no role 'readers'" in up.keelson("url", "notes", "--role", "readers", check=False).stderr
    assert "unchanged" in up.keelson("up").stdout
    up.write_service("notes")
    up.keelson("up")
    with up.connect("notes", "admin") as admin:
        query = "SELECT FROM pg_roles WHERE rolname IN ('readers', 'clerks', 'dora', 'emil')"
        assert admin.execute(query).fetchall() == []


def test_a_promise_that_cannot_be_kept_is_refused_before_anything_runs(up: StackUnderTest) -> None:
    text = "server: main\nbounds: {app: {connections: 500}}\n"
    up.write_service("notes", NOTES | {"database.yaml": text})
    failed = up.keelson("up", check=False)
    assert failed.returncode == 1
    assert "the services of the server main may open 500 connections at once (notes 500)" in failed.stderr
    up.write_service("notes")
    up.keelson("up")
