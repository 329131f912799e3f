from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from keelson.cli.application import application
from keelson.postgres.snapshot import as_markdown, read
from tests.services import Service


def _text(connection: psycopg.Connection) -> str:
    return as_markdown(read(connection), "snapped", description="All sorts", made_by="keelson docs snapped")


@pytest.mark.parametrize(
    "line",
    [
        "# snapped",
        "All sorts",
        "| [users](#users) | table | People |",
        "| [rich](#rich) | view |  |",
        '| ["Odd Names"."A table"](#odd-namesa-table) | table |  |',
        "    users {",
        "        bigint id PK",
        "        email email UK",
        "        integer id PK",
        "        bigint user_id FK",
        '    "Odd Names.A table" {',
        "        integer a_column",
        '    orders }o--|| users : "user_id"',
        "### users",
        "People",
        "| `id` | `bigint` |  | identity, always |  |",
        "| `email` | `public.email` | yes |  | Where to write to |",
        "| `long_name` | `text` | yes | generated: `(name \\|\\| '!'::text)` |  |",
        "| `name` | `text COLLATE \"C\"` | yes | `'nobody'::text` |  |",
        "| `user_id` | `bigint` |  |  | → [users](#users) |",
        "- [orders](#orders) by `user_id` ON DELETE CASCADE",
        "- `orders_large`: `CREATE INDEX ON public.orders USING btree (user_id) WHERE (amount > (1000)::numeric)`",
        "Row-level security is on.",
        "- `own`: SELECT for PUBLIC, using `(name = CURRENT_USER)`",
        "Partitioned by `RANGE (at)`.",
        "A partition of `public.events`: `FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')`.",
        "A materialized view.",
        "- `double(x integer)` → `integer` (function, sql)",
        "- `nothing()` (procedure, sql)",
        "- `product(double precision)` → `double precision` (aggregate)",
        "- `mood`, enum: sad, ok, happy",
        "- `address`, composite: street text, zip character varying(10)",
        "- `email`, domain over text NOT NULL CHECK ((VALUE ~ '@'::text))",
        "`pg_stat_statements`",
    ],
)
def test_all_that_a_reader_looks_for_stands_there(connection: psycopg.Connection, line: str) -> None:
    assert line in _text(connection).splitlines()


def test_the_same_schema_makes_the_same_text(connection: psycopg.Connection) -> None:
    before = _text(connection)
    connection.execute("INSERT INTO users (email) VALUES ('a@b'); ANALYZE users")
    connection.execute("SET timezone = 'Asia/Tokyo'")
    assert _text(connection) == before
    assert "postgres" not in before.replace("pg_stat", "")


def test_the_command_writes_a_file_and_checks_it(database: Service, tmp_path: Path) -> None:
    folder, output = tmp_path / "migrations", tmp_path / "DATABASE.md"
    folder.mkdir()
    (folder / "001_users.sql").write_text("CREATE TABLE users (id int PRIMARY KEY);")
    arguments = ["docs", "--dir", str(folder), "--from-files", "--output", str(output)]
    missing = CliRunner().invoke(application, [*arguments, "--check"])
    assert (missing.exit_code, output.exists()) == (1, False)
    assert CliRunner().invoke(application, arguments).exit_code == 0
    assert CliRunner().invoke(application, [*arguments, "--check"]).exit_code == 0
    with database.as_admin() as admin:
        admin.execute("CREATE TABLE users (id int PRIMARY KEY)")
    url = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**database.server.parameters(database.name))
    live = CliRunner().invoke(application, ["docs", "--url", url]).stdout
    of_files = output.read_text()
    assert (
        live[live.index("```mermaid") : live.index("## Ext")].strip()
        == of_files[of_files.index("```mermaid") :].strip()
    )
