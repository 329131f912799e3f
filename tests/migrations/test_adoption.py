"""Ledgers as the tools themselves write them (seen in databases that they had migrated), taken over by Keelson."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from keelson import migrations
from keelson.errors import MigrationError
from keelson.migrations.adoption.adopting import Adoption, Target, adopt, baseline
from keelson.migrations.adoption.ledgers import flyway_checksum
from tests.migrations.test_formats import FILES, write
from tests.services import PASSWORD, Service

FLYWAY = """
    CREATE TABLE flyway_schema_history (installed_rank int, version varchar(50), description varchar(200), type varchar(20),
        script varchar(1000), checksum int, installed_by varchar(100), installed_on timestamp, execution_time int, success boolean);
    INSERT INTO flyway_schema_history VALUES
        (1, '1', 'a', 'SQL', 'V1__a.sql', -1286407818, 'x', '2025-01-02 03:04', 4, true),
        (2, '1.9', 'c', 'SQL', 'V1_9__c.sql', -1213781685, 'x', '2025-01-02 03:04', 4, true),
        (3, '1.10', 'b', 'SQL', 'V1.10__b.sql', 1483031157, 'x', '2025-01-02 03:04', 4, true),
        (4, '2', 'd', 'SQL', 'later/V2__d.sql', 1434137138, 'x', '2025-01-02 03:04', 4, true)
"""
GOLANG_MIGRATE = """
    CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
    INSERT INTO schema_migrations VALUES (2, false)
"""
GOOSE = """
    CREATE TABLE goose_db_version (id int PRIMARY KEY, version_id bigint, is_applied boolean, tstamp timestamp DEFAULT '2025-01-02');
    INSERT INTO goose_db_version VALUES (1, 0, true), (2, 1, true), (3, 2, true), (4, 2, false)
"""
DBMATE = "CREATE TABLE schema_migrations (version varchar PRIMARY KEY); INSERT INTO schema_migrations VALUES ('20240101000000')"
TERN = "CREATE TABLE schema_version (version int4 NOT NULL); INSERT INTO schema_version VALUES (1)"
DIESEL = """
    CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY, run_on timestamp DEFAULT '2025-01-02');
    INSERT INTO __diesel_schema_migrations VALUES ('20240101000000')
"""
PRISMA = """
    CREATE TABLE _prisma_migrations (id varchar(36), checksum varchar(64), finished_at timestamptz, migration_name varchar(255),
        logs text, rolled_back_at timestamptz, started_at timestamptz DEFAULT now(), applied_steps_count int DEFAULT 0);
    INSERT INTO _prisma_migrations (checksum, finished_at, rolled_back_at, migration_name) VALUES
        ('old', NULL, now(), '20240101000000_a'), ('{}', '2025-01-02', NULL, '20240101000000_a')
""".format(hashlib.sha256(FILES["prisma"]["20240101000000_a/migration.sql"].encode()).hexdigest())
SQLX = """
    CREATE TABLE _sqlx_migrations (version bigint, description text, installed_on timestamptz, success boolean, checksum bytea, execution_time bigint);
    INSERT INTO _sqlx_migrations VALUES (1, 'a', '2025-01-02', true, '\\x{}', 1)
""".format(hashlib.sha384(FILES["keelson"]["001_a.sql"].encode()).hexdigest())
DOCUMENTS = """
    CREATE TABLE schema_versions (version bigint PRIMARY KEY, applied_at timestamptz DEFAULT '2025-01-02', description text DEFAULT '');
    INSERT INTO schema_versions VALUES (1)
"""
LEDGERS = {
    "flyway": ("flyway", FLYWAY, ["V1__a.sql", "V1_9__c.sql", "V1.10__b.sql", "later/V2__d.sql"]),
    "golang-migrate": ("golang-migrate", GOLANG_MIGRATE, ["000001_a.up.sql", "000002_b.up.sql"]),
    "goose": ("goose", GOOSE, ["00001_a.sql"]),
    "dbmate": ("dbmate", DBMATE, ["20240101000000_a.sql"]),
    "tern": ("tern", TERN, ["001_a.sql"]),
    "diesel": ("diesel", DIESEL, ["2024-01-01-000000_a"]),
    "prisma": ("prisma", PRISMA, ["20240101000000_a"]),
    "sqlx": ("keelson", SQLX, ["001_a.sql"]),
    "documents": ("keelson", DOCUMENTS, ["001_a.sql"]),
}


class Database:
    """A service whose database another tool has migrated, and its files."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service, self.folder = service, folder

    def migrated(self, format_: str, ledger: str) -> Database:
        write(self.folder, FILES[format_])
        return self.has(ledger)

    def has(self, statements: str) -> Database:
        with self.service.as_migrator() as connection, connection.transaction():
            connection.execute(f"SET LOCAL ROLE {self.service.roles.owner}")
            connection.execute(statements)
        return self

    def files(self) -> tuple[migrations.MigrationFile, ...]:
        return migrations.read_directory(self.folder)

    def adopt(self, tool: str = "", table: str = "", **options: object) -> Adoption:
        with self.service.as_migrator() as connection:
            return adopt(self._target(connection), tool, table, **options)

    def baseline(self, to: str, reason: str = "by hand") -> Adoption:
        with self.service.as_migrator() as connection:
            return baseline(self._target(connection), to, reason)

    def refused(self, tool: str = "", table: str = "", **options: object) -> str:
        with pytest.raises(MigrationError) as caught:
            self.adopt(tool, table, **options)
        assert "\n" not in str(caught.value)
        assert not self.query("SELECT to_regclass('schema_history')")[0][0] or not self.query(
            "SELECT * FROM schema_history"
        )
        return str(caught.value)

    def query(self, statement: str) -> list[tuple[object, ...]]:
        with self.service.as_admin() as admin:
            return admin.execute(statement).fetchall()

    def states(self) -> dict[str, str]:
        with self.service.as_migrator() as connection:
            return {item.file: item.state for item in migrations.status(connection, self.files())}

    def _target(self, connection: object) -> Target:
        return Target(connection, self.files(), migrations.Location(self.folder), owner=self.service.roles.owner)


@pytest.fixture
def other(database: Service, tmp_path: Path) -> Database:
    return Database(database, tmp_path / "migrations")


@pytest.mark.parametrize("tool", LEDGERS)
def test_a_ledger_is_taken_over_with_what_it_knows_and_no_sql_runs(other: Database, tool: str) -> None:
    format_, ledger, applied = LEDGERS[tool]
    other.migrated(format_, ledger)
    done = other.adopt(reason="we change tools")
    assert list(done.files) == applied
    assert (done.without_file, done.changed, done.again) == ((), (), ())
    states = other.states()
    assert {name for name, state in states.items() if state == "applied"} == set(applied)
    assert set(states.values()) <= {"applied", "pending"}
    assert other.query("SELECT to_regclass('a')") == [(None,)]
    rows = other.query("SELECT DISTINCT action, reason, detail, who ~ '_migrator from ' FROM schema_history")
    assert rows == [("import", "we change tools", f"from {done.source} of {tool}", True)]
    rows = other.query("SELECT DISTINCT outcome, duration, checksum ~ '^[0-9a-f]{64}$' FROM schema_versions")
    assert rows == [("imported", None, True)]
    if tool not in ("golang-migrate", "dbmate", "tern"):  # which keep no times
        assert {row[0] for row in other.query("SELECT extract(year FROM applied_at)::int FROM schema_versions")} == {
            2025
        }


@pytest.mark.parametrize("tool", [name for name in LEDGERS if name != "documents"])
def test_the_other_table_stays_as_it_is_and_what_is_left_is_applied(other: Database, tool: str) -> None:
    format_, ledger, _ = LEDGERS[tool]
    other.migrated(format_, ledger + "; CREATE TABLE a (id int)")
    table = other.adopt().source
    before = other.query(f"SELECT * FROM {table}")
    with other.service.as_migrator() as connection:
        migrations.apply(connection, other.files(), owner=other.service.roles.owner)
    assert set(other.states().values()) == {"applied"}
    assert other.query(f"SELECT * FROM {table}") == before


def test_a_database_of_another_tool_is_not_migrated_before_its_ledger_is_taken_over(other: Database) -> None:
    other.migrated("goose", GOOSE)
    with other.service.as_migrator() as connection, pytest.raises(MigrationError) as caught:
        migrations.apply(connection, other.files(), owner=other.service.roles.owner)
    assert "was migrated by goose, which keeps goose_db_version; take that over by `keelson migrate import`" in str(
        caught.value
    )
    assert other.query("SELECT to_regclass('a'), to_regclass('schema_versions')") == [(None, None)]


@pytest.mark.parametrize(
    ("tool", "ledger", "said"),
    [
        ("golang-migrate", "UPDATE schema_migrations SET dirty = true", "schema_migrations: version 2 is dirty"),
        ("flyway", "UPDATE flyway_schema_history SET success = false WHERE version = '2'", "later/V2__d.sql failed"),
        ("prisma", "UPDATE _prisma_migrations SET finished_at = NULL", "20240101000000_a failed"),
        ("sqlx", "UPDATE _sqlx_migrations SET success = false", "version 1 failed"),
        ("dbmate", "UPDATE schema_migrations SET version = 'one'", "the version 'one' is no number"),
    ],
)
def test_an_entry_that_failed_is_refused_by_name(other: Database, tool: str, ledger: str, said: str) -> None:
    format_, made, _ = LEDGERS[tool]
    other.migrated(format_, made).has(ledger)
    assert said in other.refused()


@pytest.mark.parametrize("tool", ["flyway", "prisma", "sqlx"])
def test_a_file_that_changed_since_is_refused_unless_it_is_accepted(other: Database, tool: str) -> None:
    format_, ledger, (first, *_) = LEDGERS[tool]
    other.migrated(format_, ledger)
    path = other.folder / (f"{first}/migration.sql" if tool == "prisma" else first)
    path.write_text("CREATE TABLE other ()")
    assert "changed after" in other.refused()
    assert path.name in other.refused()
    assert other.adopt(accept=True).changed == (first,)
    assert other.states()[first] == "applied"


def test_a_repeatable_file_that_changed_since_runs_again(other: Database) -> None:
    row = "INSERT INTO flyway_schema_history VALUES (5, NULL, 'view', 'SQL', 'R__view.sql', 1, 'x', now(), 1, true)"
    other.migrated("flyway", FLYWAY).has(row)
    assert other.adopt().again == ("R__view.sql",)
    assert other.states()["R__view.sql"] == "pending"


def test_flyways_baseline_undo_and_deleted_entries_mean_what_they_mean_there(other: Database) -> None:
    other.migrated("flyway", FLYWAY).has("""
        DELETE FROM flyway_schema_history WHERE version IN ('1', '1.9');
        INSERT INTO flyway_schema_history VALUES (0, '1.9', 'base', 'BASELINE', '<< Flyway Baseline >>', NULL, 'x', now(), 0, true),
            (5, '2', 'd', 'UNDO_SQL', 'U2__d.sql', 1, 'x', now(), 1, true)
    """)
    assert list(other.adopt().files) == ["V1__a.sql", "V1_9__c.sql", "V1.10__b.sql"]


def test_flyways_checksum_is_of_lines_without_their_ends_and_of_no_mark(tmp_path: Path) -> None:
    text = "CREATE TABLE a (id int)"
    for name, data in {"V1__a.sql": text.encode(), "V2__b.sql": f"{text}\r\n".encode("utf-8-sig")}.items():
        (tmp_path / name).write_bytes(data)
    assert [flyway_checksum(file) for file in migrations.read_directory(tmp_path)] == [-1286407818, -1286407818]


def test_entries_without_a_file_and_files_between_are_told(other: Database) -> None:
    other.migrated("dbmate", "CREATE TABLE schema_migrations (version varchar)")
    other.has("INSERT INTO schema_migrations VALUES ('20240102000000'), ('20200101000000')")
    done = other.adopt()
    assert (done.files, done.without_file) == (("20240102000000_b.sql",), ("version 20200101000000",))
    assert done.between == ("20240101000000_a.sql",)


def test_a_ledger_of_which_no_entry_has_a_file_is_refused(other: Database) -> None:
    other.migrated(
        "dbmate", "CREATE TABLE schema_migrations (version varchar); INSERT INTO schema_migrations VALUES ('7')"
    )
    assert "says of no file here that it is applied: none of its entries (version 7 …) has a file" in other.refused()


def test_a_database_without_a_known_ledger_says_what_to_do(other: Database) -> None:
    write(other.folder, FILES["keelson"])
    assert "has no ledger of a tool that is known; name it by --from and --table" in other.refused()
    assert "'liquibase' is no tool whose ledger can be read; there are alembic" in other.refused("liquibase")
    assert "has no table mine; name it by --table" in other.refused("goose", "mine")


def test_of_two_ledgers_that_of_the_files_format_counts_else_one_is_chosen(other: Database) -> None:
    other.migrated("goose", f"{GOOSE}; {TERN}")
    assert other.adopt().source == "goose_db_version"


def test_a_table_of_another_name_is_named(other: Database) -> None:
    other.migrated(
        "goose",
        f"CREATE SCHEMA ops; {GOOSE}; ALTER TABLE goose_db_version SET SCHEMA ops; ALTER TABLE ops.goose_db_version RENAME TO v",
    )
    assert other.adopt("goose", "ops.v").source == "ops.v"


def test_a_ledger_with_files_is_not_written_over(other: Database) -> None:
    other.migrated("goose", GOOSE).adopt()
    for call in (other.adopt, lambda: other.baseline("1")):
        with pytest.raises(MigrationError, match="has files already; a beginning is said once"):
            call()


def test_rows_of_the_documents_without_a_file_are_named(other: Database) -> None:
    other.migrated("keelson", DOCUMENTS).has("INSERT INTO schema_versions VALUES (8)")
    assert "has the versions 8, which have no file" in other.refused()


def test_alembics_heads_mean_all_that_they_stand_on(other: Database) -> None:
    program = "import sys; print(''.join(f'-- Running upgrade {one} -> {two}\\n\\nSELECT 1;\\n\\n' for one, two in (('', 'a'), ('a', 'b'), ('a', 'c'), ('b, c', 'd'))))"
    write(other.folder, {"env.py": "", "script.py.mako": ""})
    other.has("CREATE TABLE alembic_version (version_num varchar(32)); INSERT INTO alembic_version VALUES ('c')")
    location = migrations.Location(other.folder, program=[sys.executable, "-c", program])
    with other.service.as_migrator() as connection:
        done = adopt(Target(connection, location.read(), location, owner=other.service.roles.owner))
    assert (done.files, done.between) == (("a", "c"), ("b",))


@pytest.mark.parametrize(("to", "count"), [("V1_9__c.sql", 2), ("1.10", 3), ("2.0", 4)])
def test_a_baseline_says_that_all_up_to_a_file_are_applied(other: Database, to: str, count: int) -> None:
    write(other.folder, FILES["flyway"])
    assert len(other.baseline(to).files) == count
    assert list(other.states().values()).count("applied") == count
    assert other.query("SELECT DISTINCT outcome FROM schema_versions") == [("baseline",)]
    assert other.query("SELECT DISTINCT action, reason, detail FROM schema_history") == [
        ("baseline", "by hand", f"up to {to}")
    ]


def test_a_baseline_at_no_file_is_refused(other: Database) -> None:
    write(other.folder, FILES["keelson"])
    with pytest.raises(MigrationError, match=r"no file has the name or version '9'; the last one is 2\.sql"):
        other.baseline("9")


def test_both_are_commands(other: Database) -> None:
    other.migrated("goose", GOOSE)
    login = other.service.server.parameters(other.service.name, other.service.roles.migrator, PASSWORD)
    url = " ".join(f"{key}={value!r}" for key, value in login.items())
    with other.service.server.connect(other.service.name) as admin:
        admin.execute(f"GRANT SELECT ON goose_db_version TO {other.service.roles.migrator}")
        admin.execute(f"GRANT CREATE ON SCHEMA public TO {other.service.roles.migrator}")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "keelson", "migrate", *words, "--url", url, "--dir", str(other.folder)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("baseline").stderr.startswith("error: say with --to which file is the last")
    done = run("import", "--json")
    assert (done.returncode, json.loads(done.stdout)["files"]) == (0, ["00001_a.sql"])
    again = run("baseline", "--to", "1", "--reason", "x")
    assert (again.returncode, "has files already" in again.stderr) == (1, True)


def test_a_beginning_at_nothing_leaves_the_other_tool_s_table_to_itself(other: Database) -> None:
    other.migrated("goose", GOOSE)
    assert other.baseline("0", "goose keeps another application's tables here").files == ()
    assert other.query("SELECT action, file, detail FROM schema_history") == [
        ("baseline", None, "nothing is applied yet")
    ]
    with other.service.as_migrator() as connection:
        migrations.apply(connection, other.files()[:1], owner=other.service.roles.owner)
    assert other.query("SELECT to_regclass('a')::text") == [("a",)]


def test_prismas_checksum_may_be_of_other_line_ends(other: Database) -> None:
    other.migrated("prisma", PRISMA)
    path = other.folder / "20240101000000_a/migration.sql"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert other.adopt().changed == ()
