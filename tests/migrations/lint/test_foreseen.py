from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from keelson import migrations
from keelson.errors import MigrationError
from keelson.migrations.lint import Place, foresee, refuse_errors
from keelson.migrations.lint.foreseen import Lock, StatementPlan
from keelson.migrations.plan import describe, warnings_in
from keelson.migrations.rows import estimated_rows, in_words, remembered_rows
from tests.migrations.lint.files import OLD, write
from tests.services import Service

OUTSIDE = "-- keelson: no-transaction\n"


def foreseen(folder: Path, text: str) -> tuple[StatementPlan, ...]:
    files = write(folder, OLD, text)
    return foresee(files[1:], files[:1], Place())[0].statements


@pytest.mark.parametrize(
    ("text", "locks", "work"),
    [
        ("ALTER TABLE users ADD x int", {"users": "ACCESS EXCLUSIVE"}, []),
        ("ALTER TABLE users ADD x int DEFAULT 1", {"users": "ACCESS EXCLUSIVE"}, []),
        ("ALTER TABLE users ADD x float DEFAULT random()", {"users": "ACCESS EXCLUSIVE"},
         ["rewrites users (the default of x differs from row to row)"]),
        ("ALTER TABLE users ALTER name TYPE varchar(40)", {"users": "ACCESS EXCLUSIVE"}, []),
        ("ALTER TABLE users ALTER name TYPE varchar(10)", {"users": "ACCESS EXCLUSIVE"}, ["rewrites users (name becomes varchar(10))"]),
        ("ALTER TABLE others ALTER x TYPE text", {"others": "ACCESS EXCLUSIVE"}, ["may rewrite others (x becomes text)"]),
        ("ALTER TABLE users ALTER name TYPE text USING upper(name)", {"users": "ACCESS EXCLUSIVE"},
         ["rewrites users (name becomes text by USING)"]),
        ("ALTER TABLE users ALTER age SET NOT NULL", {"users": "ACCESS EXCLUSIVE"}, ["scans users (SET NOT NULL of age)"]),
        ("ALTER TABLE users ALTER email SET NOT NULL", {"users": "ACCESS EXCLUSIVE"}, []),
        ("ALTER TABLE users VALIDATE CONSTRAINT c", {"users": "SHARE UPDATE EXCLUSIVE"}, ["scans users (VALIDATE CONSTRAINT c)"]),
        ("ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0)", {"users": "ACCESS EXCLUSIVE"}, ["scans users (CHECK c)"]),
        ("ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT VALID", {"users": "ACCESS EXCLUSIVE"}, []),
        ("ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users",
         {"orders": "SHARE ROW EXCLUSIVE", "users": "SHARE ROW EXCLUSIVE"}, ["scans orders (FOREIGN KEY)"]),
        ("CREATE INDEX i ON users (name)", {"users": "SHARE"}, ["scans users (CREATE INDEX i)"]),
        (OUTSIDE + "CREATE INDEX CONCURRENTLY i ON users (name)", {"users": "SHARE UPDATE EXCLUSIVE"}, ["scans users (CREATE INDEX i)"]),
        (OUTSIDE + "VACUUM FULL users", {"users": "ACCESS EXCLUSIVE"}, ["rewrites users (VACUUM FULL)"]),
        ("CLUSTER users USING i", {"users": "ACCESS EXCLUSIVE"}, ["rewrites users (CLUSTER)"]),
        ("UPDATE users SET age = 1", {"users": "ROW EXCLUSIVE"}, ["changes rows of users (UPDATE)"]),
        ("CREATE TABLE a (b int); CREATE INDEX ON a (b)", {}, []),
        ("SELECT create_hypertable('orders', 'at', migrate_data => true)", {"orders": "ACCESS EXCLUSIVE"},
         ["rewrites orders (its rows move into chunks)"]),
    ],
)  # fmt: skip
def test_a_statement_says_what_it_locks_and_works_on(
    tmp_path: Path, text: str, locks: dict[str, str], work: list[str]
) -> None:
    last = foreseen(tmp_path, text)[-1]
    assert {lock.table: lock.mode for lock in last.locks} == locks
    assert [str(one) for one in last.work] == work


def test_a_statement_has_its_line_command_and_losses(tmp_path: Path) -> None:
    make, drop, create = foreseen(
        tmp_path, "CREATE TABLE a ();\n\nDROP TABLE users, a;\nCREATE UNIQUE INDEX i ON orders (id)"
    )
    assert (make.line, make.command, make.makes, make.locks) == (1, "CREATE TABLE", "table a", ())
    assert (drop.line, drop.command, drop.destroys) == (3, "DROP TABLE", ("drops table users",))
    assert (create.command, create.makes) == ("CREATE UNIQUE INDEX", "index i")
    assert create.with_rows({"orders": 7}).locks == (Lock("orders", "SHARE", 7),)


def test_the_plan_of_a_file_names_work_warnings_and_a_missing_undo(tmp_path: Path) -> None:
    files = write(tmp_path, OLD, "ALTER TABLE users ALTER age TYPE bigint, ADD b json, ADD c int NOT NULL DEFAULT 0")
    (seen,) = foresee(files[1:], files[:1], Place(protected=False))
    plan = describe(files[1], seen)
    assert plan == (
        "DESTRUCTIVE: changes the type of users.age; ALTER TABLE users: ACCESS EXCLUSIVE; rewrites users (age becomes bigint); "
        "no undo; warning: changing-column-type in line 1; warning: json-type in line 1"
    )
    assert warnings_in(plan) == ["changing-column-type in line 1", "json-type in line 1"]
    refuse_errors("auth", [seen])


def test_errors_are_refused_with_what_to_do(tmp_path: Path) -> None:
    files = write(tmp_path, OLD, "DROP TABLE users;\nDROP TABLE orders;")
    with pytest.raises(MigrationError) as caught:
        refuse_errors("auth", foresee(files[1:], files[:1], Place()))
    assert str(caught.value).startswith("002_a.sql:1: ban-drop-table: the rows of users are lost")
    assert str(caught.value).endswith(
        "; correct it, or put `-- keelson: allow ban-drop-table: …` before the statement, with the reason "
        "(and 1 more; `keelson migrate lint auth` lists them)"
    )


def test_rows_are_those_of_the_servers_statistics_chunks_counted_for_their_table(database: Service) -> None:
    database.make("timescaledb")
    with database.as_admin() as connection:
        connection.execute("CREATE TABLE few (a int); INSERT INTO few SELECT generate_series(1, 300); ANALYZE few")
        connection.execute("CREATE SCHEMA s; CREATE TABLE s.many (a int) PARTITION BY RANGE (a)")
        connection.execute("CREATE TABLE s.one PARTITION OF s.many FOR VALUES FROM (0) TO (9999999)")
        connection.execute("INSERT INTO s.many SELECT generate_series(1, 12345); ANALYZE s.many")
        connection.execute("CREATE TABLE bars (at timestamptz NOT NULL); SELECT create_hypertable('bars', 'at')")
        connection.execute(
            "INSERT INTO bars SELECT timestamptz '2026-01-01' + n * interval '1 hour' FROM generate_series(1, 6000) n"
        )
        connection.execute("ANALYZE bars")
        assert estimated_rows(connection) == {"s.many": 12_345, "bars": 6_000, "few": 300}
        assert remembered_rows(connection) == {"s.many": 10_000, "bars": 6_000}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (1, "about 1 row"),
        (300, "about 300 rows"),
        (12_345, "about 12 thousand rows"),
        (2_100_000, "about 2.1 million rows"),
    ],
)
def test_rows_in_words(rows: int, words: str) -> None:
    assert in_words(rows) == words


def test_status_shows_the_plan_to_a_role_that_may_only_read(tmp_path: Path, database: Service) -> None:
    files = write(
        tmp_path,
        "CREATE TABLE users (id int, age int);",
        "ALTER TABLE users ALTER age SET NOT NULL;\nDROP TABLE users;",
    )
    with database.as_migrator() as connection:
        migrations.apply(connection, files[:1], owner=database.roles.owner)
    database.open()
    with database.as_admin() as connection:
        connection.execute("INSERT INTO users SELECT n, n FROM generate_series(1, 7000) n; ANALYZE users")
        connection.execute(f"GRANT SELECT ON public.schema_versions TO {database.roles.readonly}")
    reader = database.server.parameters(database.name, database.roles.readonly_a, "a password of 24 letters")
    url = " ".join(f"{key}={value!r}" for key, value in reader.items())
    command = [
        sys.executable,
        "-m",
        "keelson",
        "migrate",
        "status",
        "--plan",
        "--url",
        url,
        "--dir",
        str(files[0].up.path.parent),
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=False)
    assert text.returncode == 1, text.stderr
    assert (
        "line 1: ALTER TABLE; locks users ACCESS EXCLUSIVE, about 7 thousand rows; scans users (SET NOT NULL of age), about 7 thousand rows"
        in text.stdout
    )
    assert "line 2: DROP TABLE; DESTRUCTIVE: drops table users; locks users" in text.stdout
    assert "error ban-drop-table in line 2" in text.stdout
    applied, pending = json.loads(
        subprocess.run([*command, "--json"], capture_output=True, text=True, check=False).stdout
    )
    assert "plan" not in applied
    assert pending["plan"]["statements"][0]["work"] == [
        {"deed": "scans", "table": "users", "why": "SET NOT NULL of age", "rows": 7000}
    ]
