"""A server as a stack on this machine has it, with one service, which tests make worse and mend again."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from keelson.local import configuration, data_directory, processes, root, server, stack, supervisor
from keelson.local.registry import Registry
from keelson.local.spec import ServerSpec
from keelson.postgres.backup_login import ensure_backup_login
from keelson.postgres.hardening import Expected, Finding, Judgement, State, Wanted, examine
from keelson.postgres.names import RoleNames
from tests.local.conftest import free_port
from tests.servers import Server
from tests.services import PASSWORD, Service

KEY = "hard-dev"
SHOP = RoleNames("shop")
FINE = Judgement(State.ok, "fine")
EXPECTED = Expected(
    databases={"shop": Wanted(SHOP.owner, ("plpgsql", "pg_stat_statements"))},
    logins=frozenset(SHOP.logins),
    operators=frozenset(),
    passwords=frozenset({"a password of the stack"}),
    backups=lambda: FINE,
    files=lambda: FINE,
)


@dataclass(frozen=True)
class Hard:
    """The server, and the directory of its data."""

    server: Server
    pgdata: Path

    def finding(self, check: str, expected: Expected = EXPECTED) -> Finding:
        """Return what one check finds."""
        with self.server.connect() as admin:
            return next(found for found in examine(admin, expected) if found.check.id == check)

    @contextlib.contextmanager
    def altered(self, file: str, lines: str, *, first: bool = False) -> Iterator[None]:
        """Add lines to a file of the server's configuration, and let it read that."""
        path = self.pgdata / file
        kept = path.read_text()
        path.write_text(f"{lines}\n{kept}" if first else f"{kept}{lines}\n")
        self.reload()
        try:
            yield
        finally:
            path.write_text(kept)
            self.reload()

    def reload(self) -> None:
        with self.server.connect() as admin:
            configuration.reload(admin, "main")

    @contextlib.contextmanager
    def ran(self, database: str, worse: str, mend: str) -> Iterator[None]:
        """Run statements, and afterwards those that undo them."""
        with self.server.connect(database) as admin:
            self.execute(admin, worse)
            try:
                yield
            finally:
                self.execute(admin, mend)

    @staticmethod
    def execute(connection: psycopg.Connection, statements: str) -> None:
        for statement in filter(str.strip, statements.split(";\n")):
            connection.execute(statement)


@pytest.fixture(scope="package")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hard]:
    home = tmp_path_factory.mktemp("hard")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("STATE_HOME", "DATA_HOME", "CONFIG_HOME", "RUNTIME_DIR"):
            patch.setenv(f"XDG_{variable}", str(home / variable.lower()))
        spec = ServerSpec(KEY, stack.register(KEY, "dev"), "main", preferred_port=free_port(), pgaudit=True)
        try:
            data_directory.make_data_directory(spec)
            port = server.start(spec).port
            password = Registry(KEY).password("main", "postgres")
            running = Server(port, password, supervisor.log_file(KEY, "main"), root.find())
            service = Service(running, "shop", spec.stack_id)
            service.make()
            service.open()
            bound(running)
            with running.connect() as admin:
                ensure_backup_login(admin, spec.stack_id, PASSWORD)
            yield Hard(running, spec.directory / "pgdata")
        finally:
            processes.end_all(KEY)
            shutil.rmtree(supervisor.socket_path(KEY).parent, ignore_errors=True)


def bound(running: Server) -> None:
    """Bound what the logins may take."""
    with running.connect() as admin:
        for login in SHOP.logins:
            admin.execute(f"ALTER ROLE {login} CONNECTION LIMIT 20")
            for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
                admin.execute(f"ALTER ROLE {login} SET {name} = '30s'")
