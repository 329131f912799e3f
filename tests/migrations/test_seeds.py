from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import psycopg
import pytest

from keelson import migrations
from keelson.errors import MigrationError
from keelson.migrations import seeds
from tests.services import PASSWORD, Service


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


def test_a_comment_that_changed_loads_nothing_again_and_rows_of_text_hashes_still_count(seeded: Seeded) -> None:
    seeded.write("dev/001_a.sql", "INSERT INTO users (name) VALUES ('a')").apply()
    assert seeded.write("dev/001_a.sql", "-- who\nINSERT  INTO users(name)\nVALUES ('a');\n").apply() == []
    found = seeds.read_seeds(seeded.directory, ("dev",))
    seeded.query(f"UPDATE schema_seeds SET checksum = '{found[0].text_sha256}' RETURNING 1")
    assert seeded.apply() == []


def test_rows_of_a_large_csv_file_are_streamed(seeded: Seeded) -> None:
    with seeded.service.as_migrator() as connection:
        connection.execute(f"SET ROLE {seeded.service.roles.owner}; CREATE TABLE big (a int, b text)")
    line = '{},"' + "x" * 990 + '"\r\n'
    with (seeded.write("dev/001_big.csv", "a,b\n").directory / "dev/001_big.csv").open("a") as file:
        file.writelines(line.format(number) for number in range(100_000))
    roles = seeded.service.roles
    parameters = seeded.service.server.parameters(seeded.service.name, roles.migrator, PASSWORD)
    found = subprocess.run(
        [sys.executable, "-c", MEASURED, str(seeded.directory), roles.owner],
        input=psycopg.conninfo.make_conninfo(**parameters) + "\n", env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        text=True, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    assert int(found.stdout) < 60_000, "KiB beside the file, which is mapped"
    assert seeded.query("SELECT count(*), min(length(b)) FROM big") == [(100_000, 990)]


MEASURED = """
import sys
from pathlib import Path
from keelson.migrations import seeds
from keelson.postgres.connection import connect

def own():
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0])

connection = connect(sys.stdin.readline().strip(), application_name="runner")
before = own()
found = seeds.read_seeds(Path(sys.argv[1]), ["dev"])
seeds.apply_seeds(connection, found, owner=sys.argv[2])
print(own() - before)
"""


# Put together here, so that no scanner of this repository finds them.
SECRETS = {
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "an access key of AWS": "AKIA" + "IOSFODNN7EXAMPLE",
    "a secret key of AWS": "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY",
    "a token of GitHub": "ghp_" + "a1B2" * 9,
    "a token of GitLab": "glpat-" + "a1B2" * 5,
    "a key of Stripe": "sk_live_" + "a1B2" * 6,
    "a token of Slack": "xoxb-" + "1234567890-abcdefghij",
    "a webhook of Slack": "https://hooks.slack.com/services/" + "T00000000/B00000000/" + "X" * 24,
    "a key of Google": "AIza" + "a1B2c" * 7,
    "a JSON web token": "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "a password in a URL": "postgresql://someone:" + "geheim123@db.example.com/x",
}


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("name", ["001_a.sql", "001_users.csv"])
def test_what_looks_like_a_secret_is_refused_and_not_shown(seeded: Seeded, name: str, kind: str) -> None:
    secret = SECRETS[kind]
    text = f"name,note\na,b\nc,{secret}\n" if name.endswith("csv") else f"SELECT 1;\n\nSELECT '{secret}';\n"
    message = seeded.write(f"dev/{name}", text).refused()
    assert message.startswith(f"seeds/dev/{name}:3: this looks like {kind}")
    assert secret not in message
    assert secret[12:] not in message


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com:8080/a@b", "postgresql://me:${PASSWORD}@host/db", "postgresql://me:<password>@host", "postgresql://me@host:5432/x",
        "mailto:someone@example.com", "http://x/y?at=12:30&to=a@b", "sk_live_", "AKIA and ASIA", "eyJ", "a private key", "redis://:***@host",
        "xox-games", "task_test_abcdefghijklmnopqrst",
    ],
)  # fmt: skip
def test_what_is_no_secret_is_fine(seeded: Seeded, text: str) -> None:
    seeded.write("dev/001_a.sql", f"SELECT '{text}'").apply()


def test_a_secret_that_is_none_says_why(seeded: Seeded) -> None:
    secret = SECRETS["a key of Stripe"]
    seeded.write(
        "dev/001_a.sql", f"SELECT 1;\n-- keelson: allow secret: from the provider's documentation\nSELECT '{secret}';"
    ).apply()
    seeded.write(
        "dev/002_b.sql", f"-- keelson: allow secret: from the provider's documentation\n\n\nSELECT '{secret}';"
    ).apply()
    assert (
        "003_c.sql:4: this looks like"
        in seeded.write(
            "dev/003_c.sql", f"SELECT 1;\n-- keelson: allow secret: too far away\n\nSELECT '{secret}';"
        ).refused()
    )
    assert (
        "003_c.sql:1: say why that is no secret"
        in seeded.write("dev/003_c.sql", f"-- keelson: allow secret\nSELECT '{secret}'").refused()
    )
    seeded.write("dev/003_c.sql", "SELECT 1").write("dev/004_users.csv", f"name\n{secret}\n")
    assert "say in seeds/dev/004_users.csv.txt beside it why it is none" in seeded.refused()
    seeded.write("dev/004_users.csv.txt", "-- keelson: allow secret: made up for a demonstration\n").apply()


def test_a_seed_for_some_environments_is_refused_in_others(seeded: Seeded) -> None:
    seeded.write("dev/001_a.sql", "-- who\n-- keelson: environment dev, demo\nSELECT 1")
    seeded.write("dev/002_users.csv", "name\na\n").write("dev/002_users.csv.txt", "-- keelson: environment test, dev")
    read = partial(seeds.read_seeds, seeded.directory, ("dev",), seeded.directory.parent)
    assert len(read()) == len(read(environment="dev")) == 2
    for environment, where in (("staging", "seeds/dev/001_a.sql:2"), ("demo", "seeds/dev/002_users.csv.txt:1")):
        with pytest.raises(
            MigrationError, match=rf"{where}: this seed is for .* and .*, and this is {environment}; move it"
        ):
            read(environment=environment)
    seeded.write("dev/001_a.sql", "-- keelson: environment production\nSELECT 1")
    with pytest.raises(
        MigrationError, match=r"001_a.sql:1: there is no environment 'production'; there are dev, test, demo"
    ):
        read()


def test_rows_of_another_environment_never_get_into_prod(seeded: Seeded) -> None:
    for folder in ("reference", "dev", "prod"):
        seeded.write(f"{folder}/001_a.sql", "SELECT 1")
    assert len(seeds.read_seeds(seeded.directory, ("reference", "prod"), environment="prod")) == 2
    assert len(seeds.read_seeds(seeded.directory, ("reference", "dev"), environment="demo")) == 2, (
        "as database.yaml says"
    )
    with pytest.raises(
        MigrationError, match=r"seeds/dev has the rows of dev, and this is prod; take it out of 'seeds.prod'"
    ):
        seeds.read_seeds(seeded.directory, ("reference", "dev"), environment="prod")


def test_a_directive_for_seeds_is_none_in_a_migration(tmp_path: Path) -> None:
    (tmp_path / "1.sql").write_text("-- keelson: environment dev\nSELECT 1")
    with pytest.raises(
        MigrationError, match=r"1.sql:1: environment is no directive; there are no-transaction and allow"
    ):
        migrations.read_directory(tmp_path)


def test_a_seed_is_a_transaction(seeded: Seeded) -> None:
    message = seeded.write("dev/001_a.sql", "-- keelson: no-transaction\nSELECT 1").refused()
    assert message == "seeds/dev/001_a.sql: a seed is one transaction; take the directive no-transaction out"
