"""One service on a test server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from keelson.postgres.databases import ensure_database, open_access
from keelson.postgres.names import RoleNames
from keelson.postgres.roles import ExtraLogin, ensure_roles
from tests.servers import Server

PASSWORD = "a password of 24 letters"


@dataclass(frozen=True)
class Service:
    server: Server
    name: str
    stack_id: str = "0123456789ab"

    @property
    def roles(self) -> RoleNames:
        return RoleNames(self.name)

    def ensure_roles(self, logins: Mapping[str, ExtraLogin] | None = None, **options: object) -> None:
        let_in = [name for name, login in (logins or {}).items() if not login.is_group]
        passwords = dict.fromkeys([*self.roles.logins, *let_in], PASSWORD)
        with self.server.connect() as admin:
            ensure_roles(admin, self.stack_id, self.name, passwords, logins, **options)

    def ensure_database(self, *extensions: str, **options: object) -> None:
        with self.server.connect() as admin:
            connect_to = self.server.connect
            ensure_database(admin, connect_to, self.stack_id, self.name, self.roles.owner, extensions, **options)

    def make(self, *extensions: str, logins: Mapping[str, ExtraLogin] | None = None) -> None:
        self.ensure_roles(logins)
        self.ensure_database(*extensions)

    def open(self, logins: Mapping[str, ExtraLogin] | None = None) -> None:
        with self.server.connect(self.name) as admin:
            open_access(admin, self.name, logins)

    def as_admin(self) -> psycopg.Connection:
        return self.server.connect(self.name)

    def as_login(self, login: str, database: str = "") -> psycopg.Connection:
        return self.server.connect(database or self.name, login, PASSWORD)

    def as_migrator(self) -> psycopg.Connection:
        return self.as_login(self.roles.migrator)
