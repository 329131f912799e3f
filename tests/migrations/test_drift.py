from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from keelson import timescale
from keelson.cli.application import application
from keelson.errors import MigrationError
from keelson.migrations import apply, read_directory
from keelson.migrations.drift import find_drift
from keelson.migrations.scratch import Origin, Scratch
from keelson.migrations.subject import Subject
from keelson.postgres.databases import grant_schemas
from keelson.postgres.roles import ExtraLogin
from keelson.postgres.snapshot import as_text
from tests.servers import Server
from tests.services import Service

FIRST = """
CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail text UNIQUE, state text DEFAULT 'new');
CREATE FUNCTION same(text) RETURNS text LANGUAGE sql AS 'SELECT lower($1)';
CREATE VIEW known AS SELECT id, same(mail) AS mail FROM users;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_of_them ON users USING (true);
"""
# From what people do by hand to what the comparison tells: whole lines.
BY_HAND = [
    ("ALTER TABLE users DROP COLUMN state", "    - column state: text, default 'new'::text"),
    ("ALTER TABLE users ALTER state SET DEFAULT 'old'", "    ~ column state: default: 'new'::text -> 'old'::text"),
    ("GRANT SELECT ON users TO PUBLIC", "    ~ grants to PUBLIC: (none) -> SELECT"),
    ("REVOKE INSERT ON users FROM {app}", "DELETE, INSERT, SELECT, UPDATE -> DELETE, SELECT, UPDATE"),
    ("GRANT CONNECT ON DATABASE {database} TO PUBLIC", "    ~ grants to PUBLIC: (none) -> CONNECT"),
    ("ALTER TABLE users DISABLE ROW LEVEL SECURITY", "    ~ row security: on -> (none)"),
    ("ALTER ROLE {app} SUPERUSER", "    ~ superuser: (none) -> yes"),
    ("ALTER ROLE {app} SET search_path = other", "    ~ settings: (none) -> search_path=other"),
    ("GRANT {owner} TO {app}", "    ~ member of {owner}: (none) -> member, inherits, may become it"),
    ("ALTER DATABASE {database} SET search_path = public, pg_catalog", "~ database itself"),
    ("CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS 'SELECT $1'", "+ function public.lower(text)"),
    ("CREATE EXTENSION citext", "+ extension citext"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "001_first.sql").write_text(FIRST)
    (tmp_path / "002_second.sql").write_text("CREATE INDEX users_by_state ON users (state);")
    return tmp_path


@pytest.fixture
def live(database: Service, folder: Path) -> Iterator[psycopg.Connection]:
    """The administrator's connection to a database that is up."""
    _bring_up(database, folder)
    with database.as_admin() as connection:
        yield connection


def _bring_up(database: Service, folder: Path) -> None:
    with database.as_migrator() as connection:
        apply(connection, read_directory(folder), owner=database.roles.owner)
        grant_schemas(connection, database.name)
    database.open()


def _subject(service: Service, folder: Path, **origin: object) -> Subject:
    return Subject(name=service.name, origin=Origin(service=service.name, **origin), files=read_directory(folder))


def _told(live: psycopg.Connection, subject: Subject, server: Scratch) -> str:
    return as_text(find_drift(live, subject, server).differences)


def test_a_database_as_it_came_up_has_no_drift(
    live: psycopg.Connection, database: Service, folder: Path, scratch_server: Scratch
) -> None:
    assert _told(live, _subject(database, folder), scratch_server) == ""
    with database.as_migrator() as migrator:
        assert _told(migrator, _subject(database, folder), scratch_server) == ""


def test_the_end_of_a_rotated_password_is_no_drift(
    live: psycopg.Connection, database: Service, folder: Path, scratch_server: Scratch
) -> None:
    login = sql.Identifier(database.roles.app_a)
    with live.transaction(force_rollback=True):
        live.execute(sql.SQL("ALTER ROLE {} VALID UNTIL '2030-01-01'").format(login))
        assert _told(live, _subject(database, folder), scratch_server) == ""


def test_each_change_by_hand_is_told(
    live: psycopg.Connection, database: Service, folder: Path, scratch_server: Scratch
) -> None:
    names = {"database": database.name, "app": database.roles.app, "owner": database.roles.owner}
    missing = []
    for change, line in BY_HAND:
        with live.transaction(force_rollback=True):
            live.execute(sql.SQL(change).format(**{key: sql.Identifier(name) for key, name in names.items()}))
            if line.format(**names) not in _told(live, _subject(database, folder), scratch_server):
                missing.append(change)
    assert missing == []


def test_pending_files_are_no_drift(
    live: psycopg.Connection, database: Service, folder: Path, scratch_server: Scratch
) -> None:
    (folder / "003_third.sql").write_text("DROP VIEW known;")
    assert _told(live, _subject(database, folder), scratch_server) == ""


def test_a_file_that_was_changed_or_is_missing_is_named(
    live: psycopg.Connection, database: Service, folder: Path, scratch_server: Scratch
) -> None:
    (folder / "002_second.sql").write_text("CREATE INDEX users_by_state ON users (state, mail);")
    found = find_drift(live, _subject(database, folder), scratch_server)
    assert "002_second.sql was changed after it was applied" in found.notes[0]
    assert "~ index users_by_state: definition" in as_text(found.differences)
    (folder / "002_second.sql").unlink()
    with pytest.raises(MigrationError, match=r"002_second\.sql was applied to .* its file is missing"):
        find_drift(live, _subject(database, folder), scratch_server)


def test_further_logins_and_extensions_are_those_of_the_description(
    service: Service, folder: Path, scratch_server: Scratch
) -> None:
    logins = {f"{service.name}_reports": ExtraLogin(privileges=("select",))}
    service.make("citext", logins=logins)
    _bring_up(service, folder)
    service.open(logins)
    with service.as_admin() as live:
        assert _told(live, _subject(service, folder, extensions=("citext",), logins=logins), scratch_server) == ""
        told = _told(live, _subject(service, folder, extensions=("citext",)), scratch_server)
    assert f"~ grants to {service.name}_reports: (none) -> SELECT" in told


def test_what_timescale_yaml_declares_belongs_to_it(service: Service, tmp_path: Path, scratch_server: Scratch) -> None:
    (tmp_path / "001_bars.sql").write_text(
        "CREATE TABLE bars (at timestamptz NOT NULL, price numeric);\n"
        "SELECT create_hypertable('bars', by_range('at'));\n"
    )
    declared = tmp_path / "timescale.yaml"
    declared.write_text(
        "hypertables:\n  public.bars:\n    retention: {after: 1 year}\naggregates:\n  public.daily:\n"
        "    query: SELECT time_bucket('1 day', at) AS day, max(price) AS high FROM bars GROUP BY 1\n"
        "    unique: [day]\n    refresh: {every: 1 hour, start_offset: 3 days, end_offset: 1 hour}\n"
    )
    definition = timescale.read_definition(declared)
    declared.rename(tmp_path.parent / f"{tmp_path.name}.yaml")
    service.make("timescaledb")
    _bring_up(service, tmp_path)
    with service.as_migrator() as connection:
        timescale.apply_policies(connection, definition, owner=service.roles.owner)
        grant_schemas(connection, service.name)
    origin = Origin(service=service.name, extensions=("timescaledb",))
    files = read_directory(tmp_path)
    with service.as_admin() as live:
        declared_too = Subject(name=service.name, origin=origin, files=files, policies=definition)
        assert _told(live, declared_too, scratch_server) == ""
        live.execute("INSERT INTO bars SELECT now() - i * INTERVAL '5 days', i FROM generate_series(1, 9) i")
        live.execute("SELECT set_chunk_time_interval('bars', INTERVAL '2 days')")
        told = _told(live, Subject(name=service.name, origin=origin, files=files), scratch_server)
    assert "~ dimension at: interval: 7 days -> 2 days" in told
    assert "+ materialized view public.daily" in told


def test_the_command_line_takes_any_database(database: Service, folder: Path) -> None:
    with database.as_admin() as admin:
        apply(admin, read_directory(folder))
    url = _url(database.server.parameters(database.name))
    arguments = ["migrate", "drift", "--url", url, "--dir", str(folder)]
    done = CliRunner().invoke(application, arguments)
    with database.as_admin() as admin:
        admin.execute("ALTER TABLE users ADD phone text")
    drifted = CliRunner().invoke(application, [*arguments, "--json"])
    assert drifted.exit_code == 1, drifted.output
    told = [each for each in json.loads(drifted.stdout)["differences"] if each["part"] == "column phone"]
    assert told == [
        {
            "sign": "+",
            "kind": "table",
            "name": "public.users",
            "part": "column phone",
            "fact": "",
            "expected": None,
            "found": {"type": "text"},
        }
    ]
    assert "phone" not in done.output


@pytest.fixture
def plain(server: Server) -> Iterator[dict[str, str]]:
    """How a login of no service connects to a database of its own."""
    with server.connect() as admin:
        admin.execute("CREATE ROLE somebody LOGIN PASSWORD 'secret'")
        admin.execute("CREATE DATABASE plain OWNER somebody")
        yield server.parameters("plain", "somebody", "secret")
        admin.execute("DROP DATABASE plain WITH (FORCE)")
        admin.execute("DROP ROLE somebody")


def test_another_login_on_another_scratch_server_makes_no_difference(
    plain: dict[str, str], folder: Path, server: Server
) -> None:
    with psycopg.connect(**plain, autocommit=True) as connection:
        apply(connection, read_directory(folder))
    arguments = ["migrate", "drift", "--url", _url(plain), "--dir", str(folder)]
    done = CliRunner().invoke(application, [*arguments, "--scratch", _url(server.parameters())])
    assert (done.exit_code, done.stdout) == (0, "plain is as its migrations make it\n")
    alone = CliRunner().invoke(application, arguments)
    assert (alone.exit_code, alone.stdout) == (0, "plain is as its migrations make it\n")


def _url(parameters: dict[str, str]) -> str:
    return "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**parameters)
