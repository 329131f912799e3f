"""Peers of Python and Perl, and psql as the floor: what it takes to send the statements and to remember nothing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.peers.peer import INSTALLED, Migration, MissingError, Peer, Place, fetch, write_each

PYTHON = INSTALLED / "python"
PACKAGES = ("alembic==1.20.1", "yoyo-migrations==9.0.0", "psycopg[binary]==3.3.9", "setuptools")

_ALEMBIC_INI = "[alembic]\nscript_location = {folder}\n"
_ALEMBIC_ENV = """
from alembic import context
from sqlalchemy import create_engine
with create_engine(context.get_x_argument(as_dictionary=True)["url"]).connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""
_ALEMBIC_FILE = '''from alembic import op
revision = "{number:05d}"
down_revision = "{previous:05d}" if {previous} else None
def upgrade():
    op.execute("""{text}""")
'''


_SQITCH_CONF = """\
[core]
    engine = pg
[engine "pg"]
    client = {psql}
[user]
    name = bench
    email = bench@localhost
"""


class PythonPeer(Peer):
    """A package in an environment of the peers' own."""

    def install(self) -> None:
        if not (PYTHON / "bin" / "yoyo").exists():
            fetch([sys.executable, "-m", "venv", str(PYTHON)])
            fetch([str(PYTHON / "bin" / "python"), "-m", "pip", "install", "--only-binary=:all:", *PACKAGES])


class Alembic(PythonPeer):
    """Revisions that execute SQL as it is, each in a transaction."""

    name = "Alembic 1.20.1"

    def write(self, folder: Path, migrations: Sequence[Migration]) -> None:
        write_each(folder / "versions", migrations, "{number:05d}_change.py", _ALEMBIC_FILE)
        (folder / "env.py").write_text(_ALEMBIC_ENV)
        (folder / "alembic.ini").write_text(_ALEMBIC_INI.format(folder=folder))

    def command(self, folder: Path, place: Place) -> list[str]:
        config = ["-c", str(folder / "alembic.ini"), "-x", f"url={place.url('postgresql+psycopg')}"]
        return [str(PYTHON / "bin" / "alembic"), *config, "upgrade", "head"]


class Yoyo(PythonPeer):
    """Files of SQL, each in a transaction."""

    name = "yoyo 9.0.0"

    def write(self, folder: Path, migrations: Sequence[Migration]) -> None:
        write_each(folder, migrations, "{number:05d}.change.sql")

    def command(self, folder: Path, place: Place) -> list[str]:
        options = ["--batch", "--no-config-file", "--database", place.bare("postgresql+psycopg")]
        return [str(PYTHON / "bin" / "yoyo"), "apply", *options, str(folder)]


class Sqitch(Peer):
    """A psql for each script."""

    name = "sqitch 1.3.1"

    def install(self) -> None:
        psql()
        if not shutil.which("sqitch"):
            msg = "not installed (`apt-get install sqitch libdbd-pg-perl`)"
            raise MissingError(msg)

    def write(self, folder: Path, migrations: Sequence[Migration]) -> None:
        write_each(folder / "deploy", migrations, "c{number:05d}.sql", "BEGIN;\n{text}COMMIT;\n")
        (folder / "sqitch.conf").write_text(
            "[core]\n\tengine = pg\n[user]\n\tname = bench\n\temail = bench@localhost\n"
        )
        changes = (f"c{each.number:05d} 2026-01-01T00:00:00Z bench <bench@localhost>\n" for each in migrations)
        (folder / "sqitch.plan").write_text("".join(["%syntax-version=1.0.0\n%project=bench\n\n", *changes]))

    def command(self, folder: Path, place: Place) -> list[str]:
        return ["sqitch", "--chdir", str(folder), "deploy", place.bare("db:pg")]

    def prepare(self, folder: Path, place: Place) -> list[str]:
        return ["sqitch", "--chdir", str(folder), "deploy", "--log-only", place.bare("db:pg")]


class Psql(Peer):
    """One process for all files, each statement committed by itself."""

    name = "psql, nothing remembered, each statement committed"

    def install(self) -> None:
        psql()

    def write(self, folder: Path, migrations: Sequence[Migration]) -> None:
        write_each(folder, migrations, "{number:05d}.sql")

    def command(self, folder: Path, place: Place) -> list[str]:
        files = (word for path in sorted(folder.iterdir()) for word in ("-f", str(path)))
        return [psql(), "-X", "-q", "-v", "ON_ERROR_STOP=1", *files, place.url()]

    def has_noop(self) -> bool:
        return False


class PsqlTransactions(Psql):
    """The same with a transaction for each file."""

    name = "psql, nothing remembered, each file a transaction"

    def write(self, folder: Path, migrations: Sequence[Migration]) -> None:
        write_each(folder, migrations, "{number:05d}.sql", "BEGIN;\n{text}COMMIT;\n")


def psql() -> str:
    """Return psql itself; Debian has a script of Perl's in front of it, which takes longer than psql."""
    found = [*sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/psql"))), shutil.which("psql")]
    if found[0] is None:
        msg = "psql is not installed"
        raise MissingError(msg)
    return found[0]
