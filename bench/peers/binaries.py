"""Peers that are one program: of Go, and Flyway."""

from __future__ import annotations

import platform
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench.peers.peer import INSTALLED, Migration, MissingError, Peer, Place, fetch, write_each

GO = INSTALLED / "go"
FLYWAY = "11.8.2"
DBMATE = "2.36.0"
_MACHINES = {"x86_64": "x64", "aarch64": "arm64"}


class GoPeer(Peer):
    """A program that Go's own client builds."""

    module: ClassVar[str]
    tags: ClassVar[str] = ""
    program: ClassVar[Path]
    file: ClassVar[str] = "{number:05d}_change.sql"
    text: ClassVar[str] = "{text}"

    def install(self) -> None:
        if not self.program.exists():
            fetch(["go", "install", "-tags", self.tags, self.module], {"GOBIN": str(GO)})

    def write(self, folder: Path, migrations: Sequence[Migration]) -> None:
        write_each(folder, migrations, self.file, self.text)


class Goose(GoPeer):
    """A file is a transaction."""

    name = "goose 3.29.0"
    module = "github.com/pressly/goose/v3/cmd/goose@v3.29.0"
    tags = "no_clickhouse no_libsql no_mssql no_mysql no_sqlite3 no_vertica no_ydb no_duckdb no_turso no_spanner"  # smaller
    program = GO / "goose"
    text = "-- +goose Up\n{text}"

    def command(self, folder: Path, place: Place) -> list[str]:
        return [str(self.program), "-dir", str(folder), "postgres", place.url(), "up"]


class GolangMigrate(GoPeer):
    """A file is one query of many statements."""

    name = "golang-migrate 4.20.1"
    module = "github.com/golang-migrate/migrate/v4/cmd/migrate@v4.20.1"
    tags = "pgx5 file"
    program = GO / "migrate"
    file = "{number:05d}_change.up.sql"

    def command(self, folder: Path, place: Place) -> list[str]:
        return [str(self.program), "-path", str(folder), "-database", place.url("pgx5"), "up"]


class Tern(GoPeer):
    """A file is a transaction."""

    name = "tern 2.3.4"
    module = "github.com/jackc/tern/v2@v2.3.4"
    program = GO / "tern"

    def command(self, folder: Path, place: Place) -> list[str]:
        return [str(self.program), "migrate", "--migrations", str(folder), "--conn-string", place.url()]


class Dbmate(Peer):
    """The program itself, without the script of node's that its package starts it by."""

    name = f"dbmate {DBMATE}"
    home = INSTALLED / "npm"

    @property
    def program(self) -> Path:
        """Where it lies."""
        machine = _MACHINES.get(platform.machine(), platform.machine())
        return self.home / "node_modules" / "@dbmate" / f"linux-{machine}" / "bin" / "dbmate"

    def install(self) -> None:
        if not self.program.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            fetch(["npm", "install", "--ignore-scripts", "--no-audit", "--prefix", str(self.home), f"dbmate@{DBMATE}"])

    def write(self, folder: Path, migrations: Sequence[Migration]) -> None:
        write_each(folder, migrations, "{number:05d}_change.sql", "-- migrate:up\n{text}-- migrate:down\n")

    def command(self, folder: Path, place: Place) -> list[str]:
        return [str(self.program), "-u", place.url(), "-d", str(folder), "--no-dump-schema", "migrate"]


class Flyway(Peer):
    """The free edition, on the machine's own Java."""

    name = f"Flyway {FLYWAY}"
    home = INSTALLED / "maven"
    program = home / f"flyway-{FLYWAY}" / "flyway"

    def install(self) -> None:
        if self.program.exists():
            return
        artifact = f"org.flywaydb:flyway-commandline:{FLYWAY}:tar.gz"
        fetch(["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={self.home}"])
        with tarfile.open(self.home / f"flyway-commandline-{FLYWAY}.tar.gz") as archive:
            archive.extractall(self.home, filter="data")
        if not self.program.exists():
            msg = "its archive holds no program"
            raise MissingError(msg)
        self.program.chmod(0o755)

    def write(self, folder: Path, migrations: Sequence[Migration]) -> None:
        write_each(folder, migrations, "V{number}__change.sql")

    def command(self, folder: Path, place: Place) -> list[str]:
        url = f"jdbc:postgresql://{place.host}:{place.port}/{place.database}?sslmode=disable"
        login = [f"-user={place.user}", f"-password={place.password}"]
        return [str(self.program), f"-url={url}", *login, f"-locations=filesystem:{folder}", "migrate"]
