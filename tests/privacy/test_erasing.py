"""A person's rows go, in all databases, whatever interrupts it; those of others and what the law keeps stay."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from keelson.errors import LockError, PrivacyError
from keelson.privacy import erasing
from keelson.privacy.erasing import Step, erase, known, opened, plan
from keelson.privacy.receipts import Receipts
from keelson.privacy.subject import Subject
from tests.product import ALICE, BOB, NOBODY, ROOT
from tests.services import PASSWORD, Service
from tests.sql import project
from tests.stack.harness import wait_until


def _everything(service: Service, *, but: str = "") -> dict[str, list[str]]:
    """All rows of a database as text, without those that name a person."""
    with service.as_admin() as admin:
        return {
            table: [
                text
                for (text,) in admin.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
                if not but or but not in text
            ]
            for table in project.tables(admin)
        }


def _run(subjects: list[Subject], receipts: Receipts, person: str = ALICE) -> dict[str, Step]:
    with opened(subjects) as databases:
        done: list[Step] = []
        erase(databases, person, receipts, done.append)
    return {step.table.removeprefix("public."): step for step in done}


def test_what_is_planned_is_what_is_done(subjects: list[Subject], receipts: Receipts) -> None:
    with opened(subjects) as databases:
        planned = plan(databases, ALICE)
        done: list[Step] = []
        erase(databases, ALICE, receipts, done.append)
    erased = {step for step in done if step.table != "audit.details"}  # which grows while others are erased
    assert erased == {step for step in planned if step.table != "audit.details"}
    assert [step.table for step in done] == [step.table for step in planned]
    assert [step.database for step in planned][-1] == "auth"
    assert {step.action for step in planned} == {"delete", "anonymise", "keep"}
    assert all(step.because for step in planned if step.action != "delete")


def test_an_erased_person_is_nowhere_but_in_what_is_kept(
    services: dict[str, Service], subjects: list[Subject], receipts: Receipts
) -> None:
    with services["auth"].as_admin() as admin:
        admin.execute(
            "INSERT INTO login_attempts (email, succeeded, failure_reason, ip_address) VALUES ('alice@example.com', false, 'unknown', '192.0.2.1')"
        )
    _run(subjects, receipts)
    for name in ("auth", "notifications"):
        found = _everything(services[name])
        found.pop("audit.entries", None)  # which keeps keys, and no value
        rows = "\n".join(text for table in found.values() for text in table)
        assert ALICE not in rows
        assert "alice" not in rows.lower()
    with services["portfolio"].as_admin() as admin:
        kept = admin.execute(
            "SELECT name::text = 'erased ' || id, description FROM portfolios WHERE user_id = %s", [ALICE]
        ).fetchall()
        assert kept == [(True, None)] * 2
        assert admin.execute("SELECT count(*) FROM watchlists WHERE user_id = %s", [ALICE]).fetchone() == (0,)
        assert admin.execute(
            "SELECT count(*), count(notes) FROM transactions t JOIN portfolios p ON p.id = portfolio_id WHERE user_id = %s",
            [ALICE],
        ).fetchone() == (15, 0)


def test_rows_of_others_stay_to_the_letter(
    services: dict[str, Service], subjects: list[Subject], receipts: Receipts
) -> None:
    def others() -> dict[str, str]:
        with services["portfolio"].as_admin() as admin:
            rows = admin.execute(
                "SELECT p::text, t::text FROM portfolios p LEFT JOIN transactions t ON t.portfolio_id = p.id WHERE p.user_id <> %s ORDER BY 1, 2",
                [ALICE],
            ).fetchall()
        return {"portfolio": str(rows)}

    before = others(), [_everything(services["auth"], but=ALICE)["public.user_sessions"]]
    _run(subjects, receipts)
    assert (others(), [_everything(services["auth"])["public.user_sessions"]]) == before


@pytest.mark.parametrize("name", ["auth", "notifications", "portfolio"])
def test_checks_of_the_data_hold_after_an_erasure(
    services: dict[str, Service], subjects: list[Subject], receipts: Receipts, name: str
) -> None:
    _run(subjects, receipts)
    with services[name].as_admin() as admin:
        for path in project.checks(name):
            assert admin.execute(path.read_bytes()).fetchall() == [], path.name


def test_a_second_run_finds_nothing_left(subjects: list[Subject], receipts: Receipts) -> None:
    _run(subjects, receipts)
    with opened(subjects) as databases:
        assert not [step for step in plan(databases, ALICE) if step.is_left]
        assert [step for step in plan(databases, BOB) if step.is_left]


def test_the_receipt_counts_and_names_nobody(subjects: list[Subject], receipts: Receipts) -> None:
    done = _run(subjects, receipts)
    (receipt,) = receipts.all()
    assert receipt.is_finished
    assert receipt.path.stat().st_mode & 0o777 == 0o600
    text = receipt.path.read_text()
    assert ALICE not in text
    assert "alice" not in text.lower()
    assert receipt.values["person"] == receipts.mark(ALICE.upper())
    assert receipt.databases["auth"]["tables"]["public.users"] == {"action": "delete", "rows": 1}
    assert receipt.databases["portfolio"]["tables"]["public.transactions"]["rows"] == done["transactions"].rows
    assert "financial law" in receipt.databases["portfolio"]["tables"]["public.transactions"]["because"]


def test_a_person_who_is_unknown_or_an_id_of_another_kind_has_no_rows(subjects: list[Subject]) -> None:
    with opened(subjects) as databases:
        assert not [step for step in plan(databases, NOBODY) if step.rows]
        assert not [step for step in plan(databases, "customer-7'; DROP TABLE users") if step.rows]


_SCRIPT = """
import json, sys
from pathlib import Path
from keelson.postgres.connection import connect
from keelson.privacy.erasing import erase, opened
from keelson.privacy.receipts import Receipts
from keelson.privacy.subject import Subject
from keelson.settings.privacy import read_privacy
root, folder, person = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
subjects = [
    Subject(name, read_privacy(root / "sql" / name, root), lambda p=parameters: connect(p, application_name="erasing", lock_timeout=0), f"{name}_owner")
    for name, parameters in json.loads(sys.stdin.read()).items()
]
with opened(subjects) as databases:
    erase(databases, person, Receipts(folder, "keelson-dev"))
"""


def test_a_run_that_is_killed_between_databases_is_finished_by_the_next(
    services: dict[str, Service], subjects: list[Subject], receipts: Receipts
) -> None:
    """The databases come in the order notifications, portfolio, auth; somebody holds a row of portfolio when the run is killed."""
    parameters = {
        name: service.server.parameters(name, service.roles.migrator, PASSWORD) for name, service in services.items()
    }
    with services["portfolio"].as_admin() as admin, services["notifications"].as_admin() as other:
        left = "SELECT count(*) FROM notifications WHERE user_id = %s"
        with admin.transaction():
            admin.execute("SELECT FROM portfolios WHERE user_id = %s FOR UPDATE", [ALICE])
            command = [sys.executable, "-c", _SCRIPT, str(ROOT), str(receipts.directory), ALICE]
            running = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT, text=True)
            assert running.stdin
            running.stdin.write(json.dumps(parameters))
            running.stdin.close()
            waits = (
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'erasing' AND wait_event_type = 'Lock'"
            )
            wait_until(lambda: other.execute(waits).fetchone() == (1,), "the run waits for the row")
            running.send_signal(signal.SIGKILL)
            running.wait()
            assert other.execute(left, [ALICE]).fetchone() == (0,)
        gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'erasing'"
        wait_until(lambda: other.execute(gone).fetchone() == (0,), "the killed run's sessions end")
        assert admin.execute("SELECT count(*) FROM portfolios WHERE name LIKE 'erased%'").fetchone() == (0,)
    (receipt,) = receipts.all()
    assert not receipt.is_finished
    first = receipt.databases["notifications"]
    assert first["state"] == "done"
    _run(subjects, receipts)
    (receipt,) = receipts.all()
    assert receipt.is_finished
    assert receipt.databases["notifications"]["tables"] == first["tables"]
    assert {entry["state"] for entry in receipt.databases.values()} == {"done"}
    with opened(subjects) as databases:
        assert not [step for step in plan(databases, ALICE) if step.is_left]


def test_a_statement_that_fails_leaves_its_database_as_it_was(
    services: dict[str, Service], subjects: list[Subject], receipts: Receipts
) -> None:
    with services["auth"].as_admin() as admin:
        admin.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'users stay'; END $$"
        )
        admin.execute("CREATE TRIGGER refuse BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION refuse()")
    before = _everything(services["auth"])
    with pytest.raises(PrivacyError, match="auth: users stay; nothing of this database was erased"):
        _run(subjects, receipts)
    assert _everything(services["auth"]) == before
    with services["auth"].as_admin() as admin:
        admin.execute("DROP TRIGGER refuse ON users")
    _run(subjects, receipts)
    assert [receipt.is_finished for receipt in receipts.all()] == [True]


def test_rows_that_come_in_meanwhile_are_told(
    services: dict[str, Service], subjects: list[Subject], receipts: Receipts
) -> None:
    def write(step: Step) -> None:
        if step.table == "public.users":
            with services["notifications"].as_admin() as admin:
                admin.execute(
                    "INSERT INTO user_contacts (user_id, channel, address) VALUES (%s, 'email', 'a@example.com')",
                    [ALICE],
                )

    with opened(subjects) as databases, pytest.raises(PrivacyError, match="1 rows came into notifications"):
        erase(databases, ALICE, receipts, write)
    _run(subjects, receipts)
    assert [receipt.is_finished for receipt in receipts.all()] == [True]


def test_known_erasures_are_found_again_after_a_restore(
    services: dict[str, Service], subjects: list[Subject], receipts: Receipts
) -> None:
    with services["auth"].as_admin() as admin:
        user = admin.execute("SELECT * FROM users WHERE id = %s", [ALICE]).fetchone()
    assert user
    _run(subjects, receipts)
    with opened(subjects) as databases:
        assert known(databases, receipts) == []
        with services["auth"].as_admin() as admin:
            admin.execute(f"INSERT INTO users VALUES ({', '.join(['%s'] * len(user))})", user)
        assert known(databases, receipts) == [ALICE]
        erase(databases, ALICE, receipts)
        assert known(databases, receipts) == []


def test_receipts_without_their_salt_are_refused(subjects: list[Subject], receipts: Receipts) -> None:
    _run(subjects, receipts)
    (receipts.directory / "salt").unlink()
    with pytest.raises(PrivacyError, match="salt is missing"):
        Receipts(receipts.directory, "keelson-dev")


def test_two_runs_for_a_person_do_not_mix(
    services: dict[str, Service], subjects: list[Subject], receipts: Receipts
) -> None:
    with services["notifications"].as_admin() as admin, pytest.MonkeyPatch.context() as patch:
        admin.execute("SELECT pg_advisory_lock(%s)", [erasing.LOCK_KEY])
        patch.setattr(erasing, "LOCK_DEADLINE", 0.1)
        with pytest.raises(LockError, match="erasures in notifications"):
            _run(subjects, receipts)
    _run(subjects, receipts)
