"""Reports on the ten databases: those that come with Keelson, and the services' own."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator

import psycopg
import pytest

from keelson import reports
from tests.stack.harness import StackUnderTest, wait_until

BUILT_IN = [report.name for report in reports.built_in()]


def rows(ten: StackUnderTest, *arguments: str) -> list[dict[str, object]]:
    return list(json.loads(ten.keelson("report", *arguments, "--json", check=False).stdout))


@pytest.fixture
def table(ten: StackUnderTest) -> Iterator[psycopg.Connection]:
    """A table of the tests' own in a database of main, and the administrator's connection."""
    with ten.connect("trading", "admin") as connection:
        connection.execute("CREATE TABLE public.report_under_test (id smallserial PRIMARY KEY, body text)")
        connection.execute("INSERT INTO public.report_under_test (body) SELECT 'x' FROM generate_series(1, 300)")
        try:
            yield connection
        finally:
            connection.execute("DROP TABLE public.report_under_test")


def test_all_reports_are_listed_with_what_they_show(ten: StackUnderTest) -> None:
    listed = {(row["name"], row["service"]): row for row in rows(ten)}
    assert {name for name, service in listed if not service} == set(BUILT_IN)
    assert listed["gap_detection", "market"]["kind"] == "query"
    assert listed["no_gaps_in_bars", "market"]["kind"] == "check"
    assert all(row["description"] for row in listed.values())
    assert "Weekdays without a bar" in ten.keelson("report").stdout


@pytest.mark.parametrize("service", ["market", "auth"])
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_report_runs_on_both_servers(ten: StackUnderTest, name: str, service: str) -> None:
    done = ten.keelson("report", name, service, check=False)
    if (name, service) == ("chunks", "auth"):
        assert done.returncode == 1
        assert "needs the extension timescaledb, which the database auth does not have" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_sizes_count_chunks_for_their_hypertable(ten: StackUnderTest) -> None:
    found = {f"{row['schema']}.{row['table']}": row for row in rows(ten, "sizes", "market")}
    assert found["market_data.ohlcv"]["parts"] >= 18  # type: ignore[operator]
    assert found["market_data.ohlcv"]["total_bytes"] > 1_000_000  # type: ignore[operator]
    assert not [name for name in found if name.startswith("_timescaledb")]


def test_sizes_are_bytes_for_programs_and_readable_for_people(ten: StackUnderTest) -> None:
    assert "MB" in ten.keelson("report", "sizes", "market").stdout
    assert isinstance(rows(ten, "sizes", "market")[0]["total_bytes"], int)


def test_a_sequence_is_measured_by_the_column_that_it_fills(ten: StackUnderTest, table: psycopg.Connection) -> None:
    table.execute("SELECT setval('report_under_test_id_seq', 32000)")
    first = rows(ten, "sequences", "trading")[0]
    assert first["sequence"] == "report_under_test_id_seq"
    assert (first["largest"], first["used_percent"]) == (32767, 97.66)


def test_who_waits_for_whom_is_named(ten: StackUnderTest, table: psycopg.Connection) -> None:
    assert "nothing found" in ten.keelson("report", "locks", "trading").stdout
    with ten.connect("trading", "admin") as waiting, table.transaction():
        table.execute("LOCK TABLE report_under_test")
        pid = waiting.info.backend_pid
        thread = threading.Thread(target=lambda: waiting.execute("SELECT count(*) FROM report_under_test"))
        thread.start()
        with ten.connect("trading", "admin") as other:
            query = "SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
            wait_until(lambda: other.execute(query, [pid]).fetchone() is not None, "it waits for the lock")
        (found,) = rows(ten, "locks", "trading")
        assert (found["waits"], found["holder"]) == (pid, table.info.backend_pid)
        assert (found["table"], found["wants"]) == ("report_under_test", "AccessShareLock")
        table.execute("SELECT 1")
    thread.join()


def test_an_index_that_no_query_used_is_named_and_a_primary_key_is_not(
    ten: StackUnderTest, table: psycopg.Connection
) -> None:
    table.execute("CREATE INDEX report_unused ON report_under_test (body)")
    found = {row["index"] for row in rows(ten, "unused-indexes", "trading")}
    assert "report_unused" in found
    assert "report_under_test_pkey" not in found


def test_a_transaction_that_is_young_is_not_long_running(ten: StackUnderTest, table: psycopg.Connection) -> None:
    with table.transaction():
        table.execute("SELECT 1")
        assert rows(ten, "long-running", "trading") == []


def test_a_query_of_a_service_finds_its_service_by_itself(ten: StackUnderTest) -> None:
    assert rows(ten, "record_range")[0]["records"] == 7560
    assert rows(ten, "record-range", "market")[0]["records"] == 7560


def test_a_query_runs_as_the_reader_and_a_check_as_the_owner(ten: StackUnderTest) -> None:
    queries = ten.root / "sql/auth/queries"
    queries.mkdir()
    checks = ten.root / "sql/auth/checks"
    (queries / "who.sql").write_text("SELECT current_user AS who, current_setting('transaction_read_only') AS reads\n")
    (checks / "whose.sql").write_text("SELECT current_user AS who, count(*) AS rows FROM users\n")
    try:
        assert rows(ten, "who", "auth") == [{"who": "auth_readonly_a", "reads": "on"}]
        (found,) = rows(ten, "whose", "auth")  # row-level security would show nobody's rows to another role
        assert found["who"] == "auth_owner"
        assert found["rows"]
    finally:
        (checks / "whose.sql").unlink()
        (queries / "who.sql").unlink()
        queries.rmdir()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("DELETE FROM users RETURNING *", "syntax error"),
        ("SELECT 1; SELECT 2", "cannot insert multiple commands"),
        ("SELECT nextval('login_attempts_id_seq')", "login_attempts"),
        ("SELECT password_hash FROM users", "permission denied for table users"),
        ("SELECT lo_create(0)", "read-only transaction"),
    ],
)
def test_a_report_may_only_read(ten: StackUnderTest, text: str, said: str) -> None:
    folder = ten.root / "sql/auth/queries"
    folder.mkdir()
    (folder / "bad.sql").write_text(text)
    try:
        done = ten.keelson("report", "bad", "auth", check=False)
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        (folder / "bad.sql").unlink()
        folder.rmdir()


def test_a_report_that_takes_too_long_is_ended(ten: StackUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keelson.reports.running.SECONDS", 0.1)
    path = ten.root / "slow.sql"
    path.write_text("SELECT pg_sleep(20)")
    report = reports.Report("slow", reports.QUERY, "auth", "", {}, path)
    with ten.connect("auth", "readonly") as connection, pytest.raises(reports.ReportError, match="took longer"):
        reports.run(connection, report)
    path.unlink()


def test_a_check_that_finds_nothing_is_well_and_one_that_finds_rows_is_not(ten: StackUnderTest) -> None:
    well = ten.keelson("report", "active_users_are_verified", "auth")
    assert "all is well" in well.stdout
    with ten.connect("auth", "admin") as connection:
        connection.execute("UPDATE users SET email_verified_at = NULL WHERE status = 'active'")
        try:
            found = ten.keelson("report", "active_users_are_verified", "auth", check=False)
            assert found.returncode == 1
            assert "active" in found.stdout
        finally:
            connection.execute("UPDATE users SET email_verified_at = created_at WHERE status = 'active'")


def test_what_needs_the_community_edition_says_so(ten: StackUnderTest) -> None:
    done = ten.keelson("report", "compression_stats", "market", check=False)
    assert done.returncode == 1
    assert "compression_stats needs TimescaleDB's Community edition" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sises", "auth"], "there is no report 'sises'; did you mean sizes?"),
        (["gap_detektion", "market"], "did you mean gap_detection?"),
        (["zzz", "auth"], "`keelson report` lists them"),
        (["sizes"], "name the service"),
        (["sizes", "nobody"], "has no service 'nobody'"),
        (["gap_detection", "auth"], "there is no report 'gap_detection'"),
    ],
)
def test_a_wrong_name_is_one_sentence_with_the_next_step(ten: StackUnderTest, arguments: list[str], said: str) -> None:
    done = ten.keelson("report", *arguments, check=False)
    assert done.returncode == 1
    assert said in done.stderr


def test_rows_are_limited_and_said_to_be(ten: StackUnderTest) -> None:
    some = ten.keelson("report", "chunks", "market", "--limit", "3", "--csv")
    read = list(csv.reader(io.StringIO(some.stdout)))
    assert len(read) == 4
    assert read[0][:2] == ["hypertable", "chunk"]
    assert "there are more than 3 rows" in some.stderr
    assert len(rows(ten, "chunks", "market", "--limit", "0")) > 18
