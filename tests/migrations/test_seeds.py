from __future__ import annotations

from pathlib import Path

import pytest

from keelson.errors import MigrationError
from keelson.migrations import seeds
from tests.services import Service


class Seeded:
    """A database with a table, and a directory of seeds."""

    def __init__(self, service: Service, directory: Path) -> None:
        self.service, self.directory = service, directory

    def write(self, name: str, text: str) -> Seeded:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return self

    def apply(self, *folders: str) -> list[str]:
        """Load the folders; return what was told."""
        told: list[str] = []
        files = seeds.read_seeds(self.directory, folders or ("dev",), self.directory.parent)
        with self.service.as_migrator() as connection:
            seeds.apply_seeds(connection, files, owner=self.service.roles.owner, on_progress=told.append)
        return [line.split()[2] for line in told]

    def refused(self, *folders: str) -> str:
        with pytest.raises(MigrationError) as caught:
            self.apply(*folders)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def query(self, statement: str) -> list[tuple[object, ...]]:
        with self.service.as_admin() as admin:
            return admin.execute(statement).fetchall()


@pytest.fixture
def seeded(database: Service, tmp_path: Path) -> Seeded:
    with database.as_migrator() as connection:
        connection.execute(f"SET ROLE {database.roles.owner}")
        connection.execute("""
            CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, born date, note text DEFAULT 'none');
            CREATE SCHEMA market_data;
            CREATE TABLE market_data.symbols (symbol text PRIMARY KEY, name text NOT NULL)
        """)
    return Seeded(database, tmp_path / "seeds")


def test_seeds_run_folder_by_folder_once_and_again_when_their_text_changes(seeded: Seeded) -> None:
    seeded.write("reference/002_b.sql", "INSERT INTO users (name) VALUES ('b') ON CONFLICT DO NOTHING")
    seeded.write("reference/010_c.sql", "SELECT 1").write(
        "dev/001_a.sql", "INSERT INTO users (name) SELECT name || '2' FROM users ON CONFLICT DO NOTHING"
    )
    assert seeded.apply("reference", "dev") == ["reference/002_b.sql", "reference/010_c.sql", "dev/001_a.sql"]
    assert seeded.apply("reference", "dev") == []
    assert seeded.query("SELECT name FROM users ORDER BY name") == [("b",), ("b2",)]
    seeded.write("reference/002_b.sql", "INSERT INTO users (name) VALUES ('b'), ('x') ON CONFLICT DO NOTHING")
    assert seeded.apply("reference", "dev") == ["reference/002_b.sql"]
    assert seeded.query("SELECT name FROM users ORDER BY name") == [("b",), ("b2",), ("x",)]
    rows = seeded.query("SELECT file, duration > '0', applied_by ~ '_migrator from' FROM schema_seeds ORDER BY file")
    assert rows == [
        ("dev/001_a.sql", True, True),
        ("reference/002_b.sql", True, True),
        ("reference/010_c.sql", True, True),
    ]


def test_rows_of_a_csv_file_are_loaded_and_those_that_exist_are_kept(seeded: Seeded) -> None:
    seeded.write("dev/001_market_data.symbols.csv", 'symbol,name\nAAPL,"Apple, Inc."\nMSFT,"Micro\nsoft"\n').apply()
    assert seeded.query("SELECT * FROM market_data.symbols ORDER BY 1") == [
        ("AAPL", "Apple, Inc."),
        ("MSFT", "Micro\nsoft"),
    ]
    seeded.query("UPDATE market_data.symbols SET name = 'changed' WHERE symbol = 'AAPL' RETURNING 1")
    seeded.write("dev/001_market_data.symbols.csv", "symbol,name\nAAPL,Apple\nNVDA,Nvidia\n").apply()
    assert seeded.query("SELECT * FROM market_data.symbols ORDER BY 1") == [
        ("AAPL", "changed"),
        ("MSFT", "Micro\nsoft"),
        ("NVDA", "Nvidia"),
    ]


def test_header_names_are_columns_and_the_others_take_their_defaults(seeded: Seeded) -> None:
    seeded.write("dev/001_users.csv", "born,name\n2001-02-03,Ünal\n,nobody\n").apply()
    assert seeded.query("SELECT name, born::text, note FROM users ORDER BY name") == [
        ("nobody", None, "none"),
        ("Ünal", "2001-02-03", "none"),
    ]


def test_a_sequence_goes_on_above_loaded_values(seeded: Seeded) -> None:
    seeded.write("dev/001_users.csv", "id,name\n1,a\n7,b\n").apply()
    assert seeded.query("INSERT INTO users (name) VALUES ('c') RETURNING id") == [(8,)]
    seeded.write("dev/001_users.csv", "id,name\n1,a\n").apply()
    assert seeded.query("INSERT INTO users (name) VALUES ('d') RETURNING id") == [(9,)]


def test_csv_with_byte_order_mark_and_crlf(seeded: Seeded) -> None:
    (seeded.directory / "dev").mkdir(parents=True)
    (seeded.directory / "dev" / "001_users.csv").write_bytes("name,note\r\na,b\r\n".encode("utf-8-sig"))
    seeded.apply()
    assert seeded.query("SELECT name, note FROM users") == [("a", "b")]


def test_sql_seeds_take_inline_copy_data(seeded: Seeded) -> None:
    seeded.write("dev/001_a.sql", "COPY users (name) FROM stdin;\na\nb\n\\.\n").apply()
    assert seeded.query("SELECT count(*) FROM users") == [(2,)]


@pytest.mark.parametrize(
    ("name", "text", "where", "what"),
    [
        (
            "001_users.csv",
            "name,born\na,2001-01-01\nb,geheim\n",
            ":3: ",
            "invalid input syntax for type date: … (SQLSTATE 22007)",
        ),
        ("001_users.csv", "name,born\na\n", ":2: ", "missing data for column"),
        ("001_users.csv", "name,shoe_size\na,4\n", ":1: ", 'column "shoe_size" does not exist'),
        ("001_people.csv", "name\na\n", ":1: ", 'relation "people" does not exist'),
        ("001_users.csv", "name,name\na,b\n", ":1: ", "must name each column once"),
        ("001_market_data.symbols.csv", "symbol\ngeheim\n", ":1: ", 'null value in column "name"'),
        ("001_a.sql", "SELECT 1;\nSELEC 2", ":2: ", "syntax error"),
        (
            "001_a.sql",
            "SELECT 1;\nINSERT INTO users (nme) VALUES ('geheim')",
            ":2: ",
            '"nme" of relation "users" does not exist',
        ),
    ],
)
def test_a_wrong_seed_is_named_with_its_line_and_leaves_nothing(
    seeded: Seeded, name: str, text: str, where: str, what: str
) -> None:
    message = (
        seeded.write("dev/000_fine.sql", "INSERT INTO users (name) VALUES ('fine')")
        .write(f"dev/{name}", text)
        .refused()
    )
    assert message.startswith(f"seeds/dev/{name}{where}")
    assert what in message
    assert "geheim" not in message
    assert seeded.query("SELECT name FROM users") == [("fine",)]
    assert seeded.query("SELECT file FROM schema_seeds") == [("dev/000_fine.sql",)]


@pytest.mark.parametrize("name", ["users.csv", "001.csv", "001_a.b.c.csv", "001_a b.sql", "001_a.json"])
def test_a_bad_name_is_refused(seeded: Seeded, name: str) -> None:
    assert f"seeds/dev/{name} is no seed's name" in seeded.write(f"dev/{name}", "x").refused()


def test_a_missing_folder_is_named(seeded: Seeded) -> None:
    assert "seeds/dev is missing" in seeded.refused("dev")


def test_seeds_that_changed_since_the_plan_are_refused(seeded: Seeded) -> None:
    files = seeds.read_seeds(seeded.write("dev/001_a.sql", "SELECT 1").directory, ("dev",))
    seeds.refuse_changed(files, {file.name: file.sha256 for file in files})
    with pytest.raises(MigrationError, match=r"dev/001_a.sql changed since"):
        seeds.refuse_changed(files, {"dev/001_a.sql": "0"})
    seeded.write("dev/001_a.sql", "SELECT 2")
    with seeded.service.as_migrator() as connection, pytest.raises(MigrationError, match=r"001_a.sql changed since"):
        seeds.apply_seeds(connection, files, owner=seeded.service.roles.owner)
