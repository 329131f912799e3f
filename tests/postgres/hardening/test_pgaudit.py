"""pgAudit on a server as a stack has it: what it writes down, and what never stands there."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

import pytest

from keelson.postgres import auditing
from keelson.postgres.hardening import State, examine
from tests.local.conftest import wait_until
from tests.postgres.hardening.conftest import EXPECTED, Hard
from tests.servers import PARAMETERS, running
from tests.services import PASSWORD, Service

HIDDEN = "a password that a person typed"


@pytest.fixture
def vault(hard: Hard) -> Service:
    """Another service of the server, made by us."""
    made = Service(hard.server, "vault")
    made.make()
    made.open()
    return made


def logged(hard: Hard) -> str:
    """Return the server's log once all is in it that was said before: supervisord takes its time to write it down."""
    mark = f"so far {secrets.token_hex(8)}"
    with hard.server.connect() as admin:
        admin.execute(f"DO $$ BEGIN RAISE LOG '{mark}'; END $$")
    wait_until(lambda: mark in hard.server.log.read_text(), 30)
    return hard.server.log.read_text()


def audited(hard: Hard) -> str:
    """Return what pgAudit has written down."""
    return "\n".join(re.findall(r"AUDIT: .*", logged(hard)))


def test_what_a_block_does_to_the_schema_and_to_roles_is_written_down(hard: Hard) -> None:
    with hard.ran("shop", "DO $$ BEGIN EXECUTE 'CREATE TABLE made_within (n int)'; END $$", "DROP TABLE made_within"):
        assert re.search(r"DDL,CREATE TABLE,.*CREATE TABLE made_within", audited(hard))
    with hard.ran("shop", "GRANT pg_monitor TO shop_app", "REVOKE pg_monitor FROM shop_app"):
        assert "ROLE,GRANT ROLE,,,GRANT pg_monitor TO shop_app" in audited(hard)


def test_rows_are_not_written_down(hard: Hard) -> None:
    with hard.ran("shop", "CREATE TABLE kept (body text)", "DROP TABLE kept"), hard.server.connect("shop") as admin:
        admin.execute("INSERT INTO kept VALUES (%s)", ["a private note"])
        admin.execute("SELECT body FROM kept WHERE body = 'a private note'")
        assert "a private note" not in logged(hard)


def test_neither_a_password_nor_a_verifier_of_ours_reaches_the_log(hard: Hard, vault: Service) -> None:
    vault.ensure_roles()
    assert re.search(r"ALTER ROLE \W*vault_app_a\W.*PASSWORD <REDACTED>", audited(hard))
    for secret in (PASSWORD, "SCRAM-SHA-256$"):
        assert secret not in logged(hard)


def test_pgaudit_leaves_out_the_password_that_a_person_types(hard: Hard) -> None:
    typed = f"CREATE ROLE guest LOGIN PASSWORD '{HIDDEN}'"
    with hard.ran("postgres", f"SET log_statement = 'none';\n{typed}", "DROP ROLE guest"):
        assert "CREATE ROLE guest LOGIN PASSWORD <REDACTED>" in audited(hard)
    assert HIDDEN not in logged(hard)


@pytest.mark.parametrize("whose", ["ROLE shop_app_a", "DATABASE shop"])
def test_whose_actions_are_not_written_down_is_found(hard: Hard, whose: str) -> None:
    with hard.ran("postgres", f"ALTER {whose} SET pgaudit.log = 'none'", f"ALTER {whose} RESET pgaudit.log"):
        found = hard.finding("audit").judgement
        assert found.faults == (f"pgAudit is loaded, and pgaudit.log of {whose.split()[1]} is none",)
    assert hard.finding("audit").judgement.found == "pgAudit logs ddl, role"


def test_parameters_that_the_server_keeps_itself_are_set_once_and_taken_back(hard: Hard) -> None:
    with hard.server.connect() as admin:
        auditing.keep(admin, {"pgaudit.log": "role", "pgaudit.log_rows": "on"})
        auditing.keep(admin, {"pgaudit.log": "role"})
        lines = audited(hard).count("ALTER ROLE ALL")
        auditing.keep(admin, {"pgaudit.log": "role"})
        assert audited(hard).count("ALTER ROLE ALL") == lines
    with hard.server.connect() as admin:
        assert admin.execute("SHOW pgaudit.log").fetchone() == ("role",)
        assert admin.execute("SHOW pgaudit.log_rows").fetchone() == ("off",)
        assert hard.finding("audit").judgement.found == "pgAudit logs role"
        auditing.keep(admin, {})
    assert hard.finding("audit").judgement.found == "pgAudit logs ddl, role"


def test_a_server_that_has_it_and_does_not_load_it_is_found(tmp_path: Path) -> None:
    with running(tmp_path, PARAMETERS) as server, server.connect() as admin:
        found = {each.check.id: each.judgement for each in examine(admin, EXPECTED)}["audit"]
    assert (found.state, found.found) == (State.failed, "the server has pgAudit, and does not load it")


def test_a_server_that_does_not_have_it_is_well_and_that_is_said(hard: Hard, monkeypatch: pytest.MonkeyPatch) -> None:
    from keelson.postgres.hardening import logs  # noqa: PLC0415 - to ask for a library that no server has

    monkeypatch.setattr(logs, "LIBRARY", "pgaudit_that_nobody_has")
    found = hard.finding("audit").judgement
    assert found.state is State.ok
    assert found.found.startswith("without pgAudit, which the server does not have")
