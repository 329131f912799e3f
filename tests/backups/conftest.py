"""A real server of target local, shared by the tests of this folder; each test makes a service of its own on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from keelson.backups import dumping, rows
from keelson.backups.copies import drop_copies
from keelson.backups.engines import Destination
from keelson.backups.making import MANUAL, Source, back_up, restore
from keelson.backups.store import Backup, Store
from keelson.endpoint import Reference, resolve
from keelson.local import stack
from keelson.postgres.backup_login import ensure_backup_login
from keelson.postgres.databases import drop_database, ensure_database
from keelson.postgres.names import BACKUP, RoleNames
from keelson.postgres.roles import drop_roles, ensure_roles
from keelson.target import target
from tests.local.conftest import LocalStack

KEY = "backups-dev"
STACK_ID = "0123456789ab"
PASSWORD = "a password of 24 letters"
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Run the server; the variables say where its stack lies."""
    home = tmp_path_factory.mktemp("backups")
    names = {"STATE_HOME": "state", "DATA_HOME": "data", "CONFIG_HOME": "config", "RUNTIME_DIR": "run"}
    variables = {f"XDG_{name}": str(home / folder) for name, folder in names.items()}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        local = LocalStack(KEY, stack.register(KEY, "dev"))
        try:
            local.up(timescale=True, parameters={"fsync": "off"})
            _make_backup_login()
            patch.undo()
            yield variables
        finally:
            for name, value in variables.items():
                patch.setenv(name, value)
            local.end()


def _make_backup_login() -> None:
    reference = Reference(stack=KEY, target="local", server="main")
    with resolve(reference).connect() as admin:
        ensure_backup_login(admin, STACK_ID, target("local").ensure_password(KEY, "main", BACKUP, None))


@dataclass(frozen=True)
class Subject:
    """A service whose database is backed up into a store of its own."""

    name: str
    store: Store
    stack_id: str = STACK_ID

    @property
    def roles(self) -> RoleNames:
        return RoleNames(self.name)

    @property
    def administrator(self) -> Reference:
        return Reference(stack=KEY, target="local", server="main")

    @property
    def reference(self) -> Reference:
        return self.administrator.to(database=self.name)

    @property
    def source(self) -> Source:
        return Source("postgres", self.reference)

    @property
    def folder(self) -> Path:
        return self.store.directory / self.name

    def make(self, *extensions: str) -> None:
        with resolve(self.administrator).connect() as admin:
            ensure_roles(admin, self.stack_id, self.name, dict.fromkeys(self.roles.logins, PASSWORD))
            ensure_database(admin, self.connect, self.stack_id, self.name, self.roles.owner, extensions)

    def connect(self, database: str = "", login: str = "") -> psycopg.Connection:
        endpoint = resolve(self.administrator.to(database=database or self.name))
        if not login:
            return endpoint.connect()
        return psycopg.connect(**endpoint.connection_parameters() | {"user": login, "password": PASSWORD})

    def back_up(self) -> Backup:
        return back_up(self.source, self.store, MANUAL)

    def copy(self, name: str = "") -> Destination:
        return Destination(self.name, self.administrator.to(database=name or f"{self.name}_copy"))

    def restore(self, backup: Backup, name: str = "") -> Destination:
        restore(backup, self.copy(name), lambda _bytes: None)
        return self.copy(name)

    def databases(self) -> set[str]:
        """The databases whose names begin with this one's."""
        with resolve(self.administrator).connect() as admin:
            rows = admin.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{self.name}%"])
            return {row[0] for row in rows}

    def end(self) -> None:
        with resolve(self.administrator).connect() as admin:
            drop_copies(admin, self.stack_id, self.name)
            drop_database(admin, self.stack_id, self.name)
            drop_roles(admin, self.stack_id, self.name)


@pytest.fixture
def subject(place: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    """A service with its roles and empty database, made without extensions but the usual."""
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    made = Subject(f"sub{next(_NUMBERS)}", Store(KEY, tmp_path / "backups"))
    made.make()
    yield made
    made.end()


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dump small databases in two files, as large ones are."""
    monkeypatch.setattr(rows, "LARGE", -1)
    monkeypatch.setattr(dumping, "WORTH", 0)


@pytest.fixture(params=["one stream", "two streams"])
def streams(request: pytest.FixtureRequest) -> str:
    """How many files a dump has."""
    if request.param == "two streams":
        request.getfixturevalue("split")
    return str(request.param)


@pytest.fixture
def filled(subject: Subject) -> Subject:
    """The same with a table of 20,000 rows."""
    with subject.connect() as admin:
        admin.execute("CREATE TABLE t AS SELECT g AS a, md5(g::text) AS b FROM generate_series(1, 20000) g")
    return subject
