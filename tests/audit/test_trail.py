"""The trail says who changed which row; the application cannot touch it, and what a superuser does to it shows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from keelson.audit import trail
from keelson.errors import AuditError
from keelson.privacy.erasing import erase, opened
from keelson.privacy.receipts import Receipts
from tests.privacy.conftest import subject
from tests.product import ALICE, BOB, as_application, definition
from tests.services import Service


def _verify(service: Service, known: tuple[trail.Head, ...] = ()) -> tuple[str, ...]:
    with service.as_migrator() as owner:
        owner.execute(f"SET ROLE {service.roles.owner}")
        return trail.verify(owner, service.name, definition(service.name).audit, known).faults


def _heads(service: Service) -> tuple[trail.Head, ...]:
    with service.as_admin() as admin:
        return trail.heads(admin)


def _last(service: Service, number: int = 1) -> list[dict[str, object]]:
    with service.as_admin() as admin:
        return [dict(entry) for entry in trail.entries(admin)][-number:]


def test_an_entry_says_who_changed_which_columns_of_which_row(portfolio: Service) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    with as_application(portfolio, BOB) as connection:
        row = connection.execute("UPDATE portfolios SET description = 'new' RETURNING id::text").fetchone()
    assert row
    (entry,) = _last(portfolio)
    assert entry["login"] == portfolio.roles.app_a
    assert entry["actor"] == BOB
    assert (entry["relation"], entry["operation"]) == ("public.portfolios", "update")
    assert entry["row_key"] == {"id": row[0]}
    assert entry["changed"] == ["description", "updated_at"]
    new = entry["new"]
    assert isinstance(new, dict)
    assert new["description"] == "new"
    assert isinstance(entry["at"], datetime)
    assert began < entry["at"] < datetime.now(UTC) + timedelta(seconds=5)
    assert _verify(portfolio) == ()


def test_what_is_added_and_deleted_and_what_changes_nothing(portfolio: Service) -> None:
    before = len(_last(portfolio, 10_000))
    with as_application(portfolio, BOB) as connection:
        connection.execute("INSERT INTO portfolios (user_id, name) VALUES (%s, 'Short')", [BOB])
        connection.execute("UPDATE holdings SET quantity = quantity WHERE false")
        connection.execute("DELETE FROM portfolios WHERE name = 'Short'")
    added, deleted = _last(portfolio, 2)
    assert [added["operation"], deleted["operation"]] == ["insert", "delete"]
    assert added["old"] is None
    assert deleted["new"] is None
    assert isinstance(deleted["old"], dict)
    assert deleted["old"]["name"] == "Short"
    assert len(_last(portfolio, 10_000)) == before + 2
    with portfolio.as_admin() as admin:
        admin.execute("TRUNCATE holdings")
    assert _last(portfolio)[0]["operation"] == "truncate"
    assert _verify(portfolio) == ()


def test_what_is_rolled_back_stands_nowhere(portfolio: Service) -> None:
    before = _heads(portfolio)
    with as_application(portfolio, BOB) as connection, connection.transaction(force_rollback=True):
        connection.execute("UPDATE portfolios SET description = 'never'")
    assert _heads(portfolio) == before


def test_hashes_of_passwords_are_not_kept(auth: Service) -> None:
    with as_application(auth, ALICE) as connection:
        connection.execute("UPDATE users SET password_hash = '$secret$', status = 'locked'")
    (entry,) = _last(auth)
    assert entry["changed"] == ["password_hash", "status", "updated_at"]
    assert "secret" not in str(entry)
    assert _verify(auth) == ()


REFUSED = [
    "SELECT * FROM audit.entries",
    "SELECT * FROM audit.details",
    "INSERT INTO audit.entries (lane) VALUES (1)",
    "UPDATE audit.entries SET login = 'nobody'",
    "DELETE FROM audit.details",
    "TRUNCATE audit.entries",
    "DROP SCHEMA audit CASCADE",
    "ALTER TABLE portfolios DISABLE TRIGGER audit",
    "CREATE TEMP TABLE t (a int); CREATE TRIGGER t AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION audit.record()",
    "SET session_replication_role = replica",
]


@pytest.mark.parametrize("role", ["app_a", "readonly_a"])
def test_the_application_and_readers_cannot_touch_it(portfolio: Service, role: str) -> None:
    before = _heads(portfolio)
    with portfolio.as_login(getattr(portfolio.roles, role)) as connection:
        for statement in REFUSED:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    assert _heads(portfolio) == before


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        (
            "UPDATE audit.entries SET login = 'nobody' WHERE (lane, number) = ({lane}, 3)",
            "3 was changed after it was written",
        ),
        (
            "UPDATE audit.entries SET at = at + interval '1 microsecond' WHERE (lane, number) = ({lane}, 3)",
            "3 was changed",
        ),
        ("UPDATE audit.entries SET row_key = NULL WHERE (lane, number) = ({lane}, 3)", "3 was changed"),
        (
            "DELETE FROM audit.entries WHERE (lane, number) = ({lane}, 3)",
            "4 does not follow 2: entries between them are gone",
        ),
        ("DELETE FROM audit.entries WHERE lane = {lane} AND number < 3", "3 does not follow 0"),
        (
            "UPDATE audit.details SET new = '{{}}' WHERE (lane, number) = ({lane}, 3)",
            "3 has other values than were written",
        ),
        ("ALTER TABLE holdings DISABLE TRIGGER audit", "changes of public.holdings are not written"),
        ("DROP TRIGGER audit_truncate ON portfolios", "changes of public.portfolios are not written"),
        ("GRANT SELECT ON audit.details TO portfolio_readonly", "portfolio_readonly has rights on the trail"),
    ],
)
def test_what_a_superuser_does_to_it_shows(portfolio: Service, tampering: str, told: str) -> None:
    (lane, *_), *_ = [(head.lane,) for head in _heads(portfolio) if head.number > 4]
    assert _verify(portfolio) == ()
    with portfolio.as_admin() as admin:
        admin.execute(tampering.format(lane=lane))
    assert told in "; ".join(_verify(portfolio))


def test_entries_that_are_gone_from_the_end_show_by_a_head_that_was_kept(portfolio: Service) -> None:
    known = trail.read_heads(trail.write_heads(_heads(portfolio)))
    with as_application(portfolio, BOB) as connection:
        connection.execute("UPDATE portfolios SET description = 'later'")
    assert _verify(portfolio, known) == ()
    head = max(_heads(portfolio), key=lambda each: each.number)
    with portfolio.as_admin() as admin:
        admin.execute("DELETE FROM audit.details WHERE (lane, number) = (%s, %s)", [head.lane, head.number])
        admin.execute("DELETE FROM audit.entries WHERE (lane, number) = (%s, %s)", [head.lane, head.number])
    assert _verify(portfolio) == ()
    (told,) = _verify(portfolio, (head,))
    assert told == f"lane {head.lane} ended at {head.number} when the head was taken, and that entry is gone"


def test_a_chain_that_was_reckoned_anew_shows_by_a_head_that_was_kept(portfolio: Service) -> None:
    head = max(_heads(portfolio), key=lambda each: each.number)
    with portfolio.as_admin() as admin:
        admin.execute(
            "UPDATE audit.entries SET hash = sha256('x') WHERE (lane, number) = (%s, %s)", [head.lane, head.number]
        )
    assert f"entry {head} is another one" in "; ".join(_verify(portfolio, (head,))).replace(
        f"{head.lane}:{head.number} is", f"{head} is"
    )


def test_concurrent_writers_keep_each_chain_whole(portfolio: Service) -> None:
    """Twenty writers, more than there are lanes, each with transactions of several rows."""
    before = sum(head.number for head in _heads(portfolio))
    faults: list[psycopg.Error] = []

    def write(number: int) -> None:
        try:
            with as_application(portfolio, BOB) as connection:
                for turn in range(5):
                    with connection.transaction():
                        connection.execute(
                            "INSERT INTO portfolios (user_id, name) VALUES (%s, %s)", [BOB, f"p{number}-{turn}"]
                        )
                        connection.execute(
                            "UPDATE portfolios SET description = 'x' WHERE name = %s", [f"p{number}-{turn}"]
                        )
        except psycopg.Error as fault:
            faults.append(fault)

    _at_once([lambda number=number: write(number) for number in range(20)])
    assert faults == []
    assert sum(head.number for head in _heads(portfolio)) == before + 200
    assert len(_heads(portfolio)) > 1
    assert _verify(portfolio) == ()


def test_a_writer_does_not_wait_for_another_that_has_not_ended(portfolio: Service) -> None:
    with as_application(portfolio, ALICE) as slow, slow.transaction():
        slow.execute("UPDATE portfolios SET description = 'slow'")
        with as_application(portfolio, BOB) as other:
            other.execute("SET statement_timeout = '5s'")
            other.execute("UPDATE portfolios SET description = 'quick'")
    assert _verify(portfolio) == ()


def test_a_transaction_whose_snapshot_is_older_than_its_lane_is_told_to_try_again(portfolio: Service) -> None:
    with portfolio.as_admin() as admin, as_application(portfolio, BOB) as old:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        old.autocommit = False
        _write_to_every_lane(portfolio, admin, old)
        with pytest.raises(psycopg.errors.SerializationFailure):
            old.execute("UPDATE portfolios SET description = 'y'")
    assert _verify(portfolio) == ()


def test_erasing_a_person_takes_the_values_and_leaves_the_chain(
    auth: Service, portfolio: Service, receipts: Receipts
) -> None:
    known = {service.name: _heads(service) for service in (auth, portfolio)}
    with as_application(auth, ALICE) as connection:
        connection.execute("UPDATE user_profiles SET phone = '+15550001111'")
    with opened([subject(auth), subject(portfolio)]) as databases:
        erase(databases, ALICE, receipts)
    for service in (auth, portfolio):
        assert _verify(service, known[service.name]) == ()
        with service.as_admin() as admin:
            assert admin.execute("SELECT count(*) FROM audit.details WHERE person = %s", [ALICE]).fetchone() == (0,)
            assert admin.execute("SELECT count(*) > 0 FROM audit.details WHERE person = %s", [BOB]).fetchone() == (
                True,
            )
    text = str(_last(auth, 10_000))
    assert "alice" not in text.lower()
    assert "+15550001111" not in text
    assert {entry["operation"] for entry in _last(auth, 3)} == {"delete"}


def test_entries_are_chosen_by_time(portfolio: Service) -> None:
    with portfolio.as_admin() as admin:
        row = admin.execute("SELECT clock_timestamp()").fetchone()
        assert row
        with as_application(portfolio, BOB) as connection:
            connection.execute("UPDATE portfolios SET description = 'after'")
        assert [entry["operation"] for entry in trail.entries(admin, since=row[0])] == ["update"]
        before = list(trail.entries(admin, until=row[0]))
        assert len(before) == len(_last(portfolio, 10_000)) - 1
        assert before == sorted(before, key=lambda entry: entry["at"])  # type: ignore[arg-type, return-value]


def test_a_database_without_a_trail_and_a_head_that_is_none_are_told(database: Service) -> None:
    with database.as_admin() as admin, pytest.raises(AuditError, match="has no audit trail"):
        trail.verify(admin, database.name, [])
    with pytest.raises(AuditError, match="is no head"):
        trail.read_heads("1:2")


def _write_to_every_lane(service: Service, admin: psycopg.Connection, old: psycopg.Connection) -> None:
    """Whichever lane `old` takes, it is not as the snapshot has it that begins here."""
    old.execute("SELECT count(*) FROM portfolios")
    seen = "SELECT count(DISTINCT lane) FROM audit.entries WHERE actor = %s"
    while admin.execute(seen, [ALICE]).fetchone() != (16,):
        with as_application(service, ALICE) as other:
            other.execute("UPDATE portfolios SET description = gen_random_uuid()")


def _at_once(work: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
