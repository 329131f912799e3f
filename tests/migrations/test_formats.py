from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from keelson import migrations
from keelson.errors import MigrationError
from keelson.migrations.formats import detect
from keelson.migrations.formats.directory import Directory
from keelson.migrations.statements import statements_of
from tests.services import Service

GOOSE = """-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION one() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;
-- +goose StatementEnd
CREATE TABLE a (id int);

-- +goose Down
DROP TABLE a;
"""
FILES = {
    "keelson": {"001_a.sql": "CREATE TABLE a (id int)", "001_a.down.sql": "DROP TABLE a", "2.sql": "SELECT 1"},
    "flyway": {
        "V1__a.sql": "CREATE TABLE a (id int)",
        "V1.10__b.sql": "CREATE TABLE b (id int)",
        "V1_9__c.sql": "CREATE TABLE c (id int)",
        "later/V2__d.sql": "CREATE TABLE d (id int)",
        "R__view.sql": "CREATE OR REPLACE VIEW v AS SELECT id FROM a",
        "U1.10__b.sql": "DROP TABLE b",
        "V3__e.sql": "CREATE INDEX CONCURRENTLY e ON a (id)",
    },
    "golang-migrate": {
        "000002_b.up.sql": "CREATE INDEX CONCURRENTLY i ON a (id);",
        "000001_a.up.sql": "BEGIN;\nCREATE TABLE a (id int);\nCOMMIT;\n",
        "000001_a.down.sql": "DROP TABLE a",
        "000003_c.up.sql": "",
    },
    "goose": {"00001_a.sql": GOOSE, "00002_b.sql": "-- +goose NO TRANSACTION\n-- +goose Up\nVACUUM a;\n"},
    "dbmate": {
        "20240101000000_a.sql": "-- migrate:up\nCREATE TABLE a (id int);\n\n-- migrate:down\nDROP TABLE a;\n",
        "20240102000000_b.sql": "-- migrate:up transaction:false\nVACUUM a;\n-- migrate:down\n",
    },
    "tern": {"001_a.sql": "create table a (id int);\n---- create above / drop below ----\ndrop table a;\n"},
    "prisma": {
        "migration_lock.toml": 'provider = "postgresql"\n',
        "20240101000000_a/migration.sql": "-- CreateTable\nCREATE TABLE a (id int);\n",
        "20240102000000_none/migration.sql": "-- This is an empty migration.",
    },
    "diesel": {
        "2024-01-01-000000_a/up.sql": "CREATE TABLE a (id int);\n",
        "2024-01-01-000000_a/down.sql": "DROP TABLE a;\n",
    },
}
NAMES = {
    "keelson": ["001_a.sql", "2.sql"],
    "flyway": ["V1__a.sql", "V1_9__c.sql", "V1.10__b.sql", "later/V2__d.sql", "V3__e.sql", "R__view.sql"],
    "golang-migrate": ["000001_a.up.sql", "000002_b.up.sql", "000003_c.up.sql"],
    "goose": ["00001_a.sql", "00002_b.sql"],
    "dbmate": ["20240101000000_a.sql", "20240102000000_b.sql"],
    "tern": ["001_a.sql"],
    "prisma": ["20240101000000_a", "20240102000000_none"],
    "diesel": ["2024-01-01-000000_a"],
}
WITH_UNDO = {
    "keelson": ["001_a.sql"],
    "flyway": ["V1.10__b.sql"],
    "golang-migrate": ["000001_a.up.sql"],
    "goose": ["00001_a.sql"],
    "dbmate": ["20240101000000_a.sql", "20240102000000_b.sql"],
    "tern": ["001_a.sql"],
    "prisma": [],
    "diesel": ["2024-01-01-000000_a"],
}


def write(directory: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return directory


def read(directory: Path, **options: str) -> tuple[migrations.MigrationFile, ...]:
    return migrations.read_directory(directory, directory.parent, **options)


def refused(directory: Path, **options: str) -> str:
    with pytest.raises(MigrationError) as caught:
        read(directory, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("tool", FILES)
def test_each_format_is_known_by_its_names_and_read_in_its_order(tmp_path: Path, tool: str) -> None:
    write(tmp_path, FILES[tool])
    assert detect(Directory.list(tmp_path, tmp_path)) == tool
    files = read(tmp_path)
    assert [file.name for file in files] == NAMES[tool]
    assert [file.name for file in files if file.undo] == WITH_UNDO[tool]
    assert files == read(tmp_path, format=tool)


@pytest.mark.parametrize("tool", FILES)
def test_each_format_is_applied_and_its_undo_is_sql(tmp_path: Path, tool: str, database: Service) -> None:
    files = read(write(tmp_path, FILES[tool]))
    with database.as_migrator() as connection:
        ledger = migrations.apply(connection, files, owner=database.roles.owner)
        assert list(ledger) in (NAMES[tool], [NAMES[tool][-1], *NAMES[tool][:-1]])  # a repeatable file has a low number
        assert {entry.state for entry in migrations.status(connection, files)} == {"applied"}
        assert connection.execute("SELECT to_regclass('public.a') IS NOT NULL").fetchone() == (True,)
    for file in files:
        if file.undo:
            assert "CREATE TABLE" not in file.undo.text().upper()
            list(statements_of(file.undo))


@pytest.mark.parametrize("tool", FILES)
def test_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path, tool: str) -> None:
    here, there = write(tmp_path / "here", FILES[tool]), tmp_path / "there"
    other = {
        name: text.encode() if not name.endswith(".sql") else text.replace("\n", "\r\n").encode("utf-8-sig")
        for name, text in FILES[tool].items()
    }
    ours, theirs = read(here), read(write(there, other))
    assert ours == theirs
    assert [file.up.text() for file in ours] == [file.up.text() for file in theirs]


@pytest.mark.parametrize("tool", FILES)
def test_a_bad_name_is_refused_with_what_the_format_expects(tmp_path: Path, tool: str) -> None:
    write(tmp_path, FILES[tool] | {"users final.sql": "SELECT 1"})
    message = refused(tmp_path)
    assert "users final.sql" in message
    assert "move it elsewhere" in message


def test_numbers_are_versions_where_they_rise_and_else_there_is_none(tmp_path: Path) -> None:
    plain = read(write(tmp_path / "plain", {"V1__a.sql": "SELECT 1", "V20__b.sql": "SELECT 2", "R__c.sql": "SELECT 3"}))
    assert [file.version for file in plain] == [1, 20, None]
    dotted = read(write(tmp_path / "dotted", FILES["flyway"]))
    assert {file.version for file in dotted} == {None}
    twins = {"20240101_a/migration.sql": "SELECT 1", "20240101_b/migration.sql": "SELECT 2"}
    assert [file.version for file in read(write(tmp_path / "twins", twins))] == [None, None]
    long = {"20150100000001000000_a.up.sql": "SELECT 1", "20150100000002000000_a.up.sql": "SELECT 1"}
    assert [file.version for file in read(write(tmp_path / "long", long))] == [None, None]


def test_lines_in_messages_are_those_of_the_file(tmp_path: Path) -> None:
    (file,) = read(write(tmp_path, {"1_a.sql": "-- +goose Up\n\nSELECT 1;\n-- +goose Down\nSELECT 1;\nSELEC 2;\n"}))
    assert file.undo
    with pytest.raises(MigrationError, match=r"1_a\.sql:6: syntax error"):
        list(statements_of(file.undo))
    assert [statement.line for statement in statements_of(file.up)] == [3]


def test_files_of_two_formats_are_refused_by_name(tmp_path: Path) -> None:
    message = refused(write(tmp_path, {"V1__a.sql": "SELECT 1", "1_a.up.sql": "SELECT 1"}))
    assert "flyway (V1.2__add_users.sql or R__views.sql) and of golang-migrate" in message
    assert [file.name for file in read(write(tmp_path / "x", {"1_a.up.sql": "SELECT 1"}), format="golang-migrate")]


def test_an_unknown_format_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    assert "'liquibase' is no format of migrations; there are alembic, dbmate" in refused(tmp_path, format="liquibase")


@pytest.mark.parametrize("tool", ["goose", "dbmate", "tern"])
def test_a_file_with_both_ways_is_never_run_as_one(tmp_path: Path, tool: str) -> None:
    name = next(iter(FILES[tool]))
    write(tmp_path, {name: FILES[tool][name], "0.sql": "SELECT 1"})
    message = refused(tmp_path, format="keelson")
    assert f"begins a section of a file of {tool}" in message
    assert name in message


@pytest.mark.parametrize("tool", ["goose", "dbmate"])
def test_a_file_without_sections_is_refused_among_those_that_have_them(tmp_path: Path, tool: str) -> None:
    message = refused(write(tmp_path, FILES[tool] | {"99999999999999_z.sql": "SELECT 1"}))
    assert "99999999999999_z.sql:1: must have one line" in message


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("afterMigrate.sql", "SELECT 1", "is a callback of Flyway"),
        ("B5__base.sql", "SELECT 1", "is a baseline migration of Flyway"),
        ("V5__code.java", "class V5 {}", "another language than SQL"),
        ("V9__x.sql.conf", "executeInTransaction=false", "configures a file that is missing"),
        ("V1__a.sql.conf", "shouldExecute=false", "has the key 'shouldExecute'"),
        ("V1__a.sql.conf", "executeInTransaction=maybe", "must say true or false"),
        ("V1.0__twin.sql", "SELECT 1", "have the same version"),
        ("U7__x.sql", "SELECT 1", "undoes a version that no file has"),
        ("V5__p.sql", "SELECT 1;\nSELECT '${schema}'", "V5__p.sql:2: nothing is said for the placeholder ${schema}"),
    ],
)
def test_what_is_not_supported_of_flyway_is_said_by_name(tmp_path: Path, name: str, text: str, said: str) -> None:
    message = refused(write(tmp_path, {"V1__a.sql": "SELECT 1", name: text}))
    assert said in message
    assert name in message


def test_flyways_placeholders_are_filled_from_the_settings(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "V1__a.sql": "SELECT '${Schema}';\n",
            "V2__b.sql": "SELECT '${x}'",
            "V2__b.sql.conf": "placeholderReplacement=false",
        },
    )
    files = migrations.Location(tmp_path, placeholders={"schema": "auth"}).read()
    assert [file.up.text() for file in files] == ["SELECT 'auth';\n", "SELECT '${x}'"]


def test_a_conf_file_beside_a_script_says_that_it_has_no_transaction(tmp_path: Path) -> None:
    write(tmp_path, {"V1__a.sql": "SELECT 1", "V1__a.sql.conf": "# so\nexecuteInTransaction=false\n"})
    assert [file.transaction for file in read(tmp_path)] == [False]


def test_a_repeatable_file_runs_again_when_it_changes_and_only_then(tmp_path: Path, database: Service) -> None:
    write(tmp_path, {"V1__a.sql": "CREATE TABLE a (n int)", "R__r.sql": "INSERT INTO a VALUES (1)"})
    with database.as_migrator() as connection:
        for text, count in (
            (None, 1),
            (None, 1),
            ("INSERT INTO a VALUES (2)", 2),
            ("INSERT INTO a  VALUES (2) -- x", 2),
        ):
            if text:
                (tmp_path / "R__r.sql").write_text(text)
            migrations.apply(connection, read(tmp_path), owner=database.roles.owner)
            with database.as_admin() as admin:
                assert admin.execute("SELECT count(*) FROM a").fetchone() == (count,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-- +goose Up\n-- +goose ENVSUB ON\nSELECT 1;", "1_a.sql:2: goose's ENVSUB is not supported"),
        ("-- +goose Down\nSELECT 1;\n-- +goose Up\nSELECT 1;", "1_a.sql:1: must have one line"),
        ("SELECT 1;\n-- +goose Up\nSELECT 1;", "1_a.sql:1: stands before the line"),
    ],
)
def test_what_is_not_supported_of_goose_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(write(tmp_path, {"1_a.sql": text}), format="goose")


def test_a_migration_in_go_is_refused_and_other_sources_are_not_migrations(tmp_path: Path) -> None:
    write(tmp_path, {"1_a.sql": GOOSE, "embed.go": "package x", "2_b.go": "package x"})
    assert "2_b.go is a migration in Go" in refused(tmp_path)
    (tmp_path / "2_b.go").unlink()
    assert len(read(tmp_path)) == 1


def test_a_way_back_without_a_way_forth_is_refused(tmp_path: Path) -> None:
    assert "2_b.down.sql goes back from a version" in refused(
        write(tmp_path, {"1_a.up.sql": "SELECT 1", "2_b.down.sql": ""})
    )


def test_two_files_of_one_version_are_refused_by_name(tmp_path: Path) -> None:
    assert "01_a.up.sql and 1_b.up.sql have the same version" in refused(
        write(tmp_path / "g", {"01_a.up.sql": "SELECT 1", "1_b.up.sql": "SELECT 1"})
    )
    assert "1_a.sql and 1_b.sql have the same version" in refused(
        write(tmp_path / "d", {"1_a.sql": GOOSE, "1_b.sql": GOOSE})
    )


def test_two_undos_of_one_version_are_refused_by_name(tmp_path: Path) -> None:
    files = {"V1__a.sql": "SELECT 1", "U1__a.sql": "SELECT 2", "U1.0__b.sql": "SELECT 3"}
    with pytest.raises(MigrationError, match=r"U1.0__b.sql and U1__a.sql have the same version"):
        read(write(tmp_path, files))


def test_prismas_lock_of_another_provider_is_refused(tmp_path: Path) -> None:
    write(tmp_path, FILES["prisma"] | {"migration_lock.toml": 'provider = "mysql"'})
    assert "another provider than postgresql" in refused(tmp_path)


def test_gaps_between_plain_numbers_are_named_and_none_between_times(tmp_path: Path) -> None:
    assert migrations.gaps(read(write(tmp_path / "a", {f"{n}.sql": "SELECT 1" for n in (1, 2, 5, 6, 9)}))) == (3, 7)
    assert not migrations.gaps(read(write(tmp_path / "b", FILES["dbmate"])))


# As Alembic 1.20 writes it, with a branch, a merge and an autocommit block.
UPGRADE = """BEGIN;

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

-- Running upgrade  -> aaa

CREATE TABLE a (id int);

INSERT INTO alembic_version (version_num) VALUES ('aaa') RETURNING alembic_version.version_num;

-- Running upgrade aaa -> ccc

COMMIT;

CREATE INDEX CONCURRENTLY i ON a (id);

BEGIN;

UPDATE alembic_version SET version_num='ccc' WHERE alembic_version.version_num = 'aaa';

-- Running upgrade aaa -> bbb

INSERT INTO a VALUES (1); SELECT ';';

INSERT INTO alembic_version (version_num) VALUES ('bbb') RETURNING alembic_version.version_num;

-- Running upgrade bbb, ccc -> ddd

DELETE FROM alembic_version WHERE alembic_version.version_num = 'bbb';

UPDATE alembic_version SET version_num='ddd' WHERE alembic_version.version_num = 'ccc';

COMMIT;
"""
DOWNGRADE = """BEGIN;

-- Running downgrade ddd -> bbb, ccc

UPDATE alembic_version SET version_num='bbb' WHERE alembic_version.version_num = 'ddd';

-- Running downgrade aaa -> {nothing}

DROP TABLE a;

DELETE FROM alembic_version WHERE alembic_version.version_num = 'aaa';

-- Running downgrade bbb -> aaa

""".replace("{nothing}", "")
WRITES = """import pathlib, sys
assert sys.argv[1:] in (["upgrade", "base:heads", "--sql"], ["downgrade", "ddd:base", "--sql"]), sys.argv
sys.stdout.write(pathlib.Path(__file__).with_name(sys.argv[1]).read_text())
sys.exit(sys.argv[1] == "downgrade")
"""


@pytest.fixture
def alembic_project(tmp_path: Path) -> Path:
    files = {"writes.py": WRITES, "upgrade": UPGRADE, "downgrade": DOWNGRADE, "alembic.ini": "[alembic]\n"}
    revision = '\n"""Make a\n\nRevision ID: aaa\n"""\nrevision: str = "aaa"\n'
    write(tmp_path, files | {"alembic/env.py": "", "alembic/versions/one.py": revision})
    return tmp_path / "alembic"


def test_alembics_own_sql_is_read_revision_by_revision_and_applied(alembic_project: Path, database: Service) -> None:
    files = migrations.Location(alembic_project, program=[sys.executable, "writes.py"]).read()
    assert [file.name for file in files] == ["aaa", "ccc", "bbb", "ddd"]
    assert (files[0].description, files[0].up.text()) == ("Make a", "CREATE TABLE a (id int);\n\n")
    assert {file.name: file.undo.text() for file in files if file.undo} == {"aaa": "DROP TABLE a;\n\n", "ddd": ""}
    assert [file.name for file in files if not file.transaction] == ["ccc"]
    with database.as_migrator() as connection:
        migrations.apply(connection, files, owner=database.roles.owner)
    with database.as_admin() as admin:
        assert admin.execute("SELECT to_regclass('alembic_version'), to_regclass('i')::text").fetchone() == (None, "i")


def test_a_program_that_fails_or_is_missing_is_told(alembic_project: Path) -> None:
    with pytest.raises(MigrationError, match=r"cannot be run: No such file.*'migrations\.program'"):
        migrations.Location(alembic_project, program=["no-such-alembic"]).read()
    false = shutil.which("false")
    assert false
    with pytest.raises(MigrationError, match="failed: without a word"):
        migrations.Location(alembic_project, program=[false]).read()


BLOCKS = "SELECT 1;\nBEGIN;\nCREATE TYPE a AS ENUM ();\nCOMMIT;\nSELECT 2;\nBEGIN TRANSACTION;\nSELECT 3;\nEND;\n"


def test_other_tools_files_may_begin_and_commit_and_are_one_transaction_here(tmp_path: Path, database: Service) -> None:
    files = read(write(tmp_path, {"1_a.up.sql": BLOCKS, "2_b.up.sql": "BEGIN; CREATE TABLE b (); COMMIT; SELECT 1/0"}))
    assert [statement.line for statement in statements_of(files[0].up)] == [1, 3, 5, 7]
    with database.as_migrator() as connection, pytest.raises(MigrationError, match=r"2_b\.up\.sql:1: division by zero"):
        migrations.apply(connection, files, owner=database.roles.owner)
    with database.as_admin() as admin:
        assert admin.execute("SELECT to_regtype('a') IS NULL, to_regclass('b')").fetchone() == (False, None)


def test_a_file_that_commits_before_what_no_transaction_takes_has_none(tmp_path: Path) -> None:
    text = "BEGIN;\nCREATE TABLE a (id int);\nCOMMIT;\nCREATE INDEX CONCURRENTLY i ON a (id);\n"
    (file,) = read(write(tmp_path, {"1_a.up.sql": text}))
    assert not file.transaction


def test_a_transaction_that_is_not_committed_is_refused(tmp_path: Path) -> None:
    (file,) = read(write(tmp_path, {"1_a.up.sql": "SELECT 1;\nBEGIN;\nSELECT 2;"}))
    with pytest.raises(MigrationError, match=r"1_a\.up\.sql:2: a migration is one transaction already"):
        list(statements_of(file.up))


def test_sqlxs_files_are_read_as_ours_and_say_that_they_have_no_transaction_in_their_own_way(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "20240101000000_a.sql": "-- no-transaction\nVACUUM;",
            "20240102000000_b.sql": "-- x\n-- no-transaction\nSELECT 1",
        },
    )
    assert [file.transaction for file in read(tmp_path)] == [False, True]


def test_a_folder_named_like_a_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "1_a.sql").mkdir()
    assert "1_a.sql is no migration's name" in refused(tmp_path)
    assert "1_a.sql is no migration's name of goose" in refused(tmp_path, format="goose")
