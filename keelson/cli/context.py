"""What every command needs: the project, the stack, its settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from keelson import inside, paths
from keelson.endpoint import Endpoint, Reference, resolve_at
from keelson.entrances import Entrance
from keelson.errors import SettingsError
from keelson.inside import settings
from keelson.postgres.names import RoleNames
from keelson.project import Project, find_project
from keelson.rotation import in_use
from keelson.settings.stack import Stack
from keelson.stack import Engine, selected_stack
from keelson.target import Address, ClientCertificate, target


@dataclass(frozen=True)
class Context:
    """The project and the stack that a command works on.

    Attributes:
        project: whose folder the command was run in.
        stack_name: the stack's name.
        beside: whether connections are made by containers beside the stack, in place of programs of this machine.
        authority: where those see the certificate that they verify servers against; None: they do not.
        folder: where that is written on this machine, and what logins show beside it.
    """

    project: Project
    stack_name: str
    beside: bool = False
    authority: Path | None = None
    folder: Path | None = None

    @cached_property
    def stack(self) -> Stack:
        """The stack's settings."""
        if inside.here():
            return settings.load()
        return self.project.stack(self.stack_name)

    @cached_property
    def engine(self) -> Engine:
        """The engine for this stack."""
        return Engine(self.project, self.stack_name)

    def server_of(self, service: str) -> str:
        """Return the server that holds `service`; raises SettingsError when the stack has no such service."""
        try:
            return self.stack.databases[service].server
        except KeyError:
            known = ", ".join(self.stack.databases) or "none yet"
            msg = f"stack {self.stack_name} has no service {service!r}; it has {known}"
            raise SettingsError(msg) from None

    def administrator(self, server: str, database: str = "postgres") -> Reference:
        """Return the reference to `database` as the server's administrator."""
        return Reference(stack=self.stack.key, target=self.stack.settings.place, server=server, database=database)

    def reference(self, service: str, role: str) -> Reference:
        """Return the reference to a service's database as one of its logins, or as `admin`."""
        administrator = self.administrator(self.server_of(service), service)
        return administrator if role == "admin" else administrator.to(role=self.login(service, role))

    def endpoint(self, service: str, role: str, entrance: Entrance = "primary") -> Endpoint:
        """Return the live endpoint of `reference`, as it is reached from where connections are made."""
        reference = self.reference(service, role)
        found = resolve_at(self.locate(reference.server, entrance), reference)
        return replace(found, shown=self._beside(found.user, found.shown)) if self.beside and found.shown else found

    def _beside(self, login: str, shown: ClientCertificate) -> ClientCertificate:
        """Write what a login shows beside the authority's certificate; return where containers see it."""
        if self.folder is None or self.authority is None:
            msg = f"{login} shows a certificate, so a container needs its files; add --ca FILE:PATH, and mount the folder of FILE at that of PATH"
            raise SettingsError(msg)
        for file in (shown.certificate, shown.key):
            paths.write_private(self.folder / file.name, file.read_text(encoding="ascii"))
        seen = self.authority.parent
        return ClientCertificate(certificate=seen / shown.certificate.name, key=seen / shown.key.name)

    def locate(self, server: str, entrance: Entrance = "primary") -> Address:
        """Return where a server or Redis answers, for where connections are made."""
        place, key = target(self.stack.settings.place), self.stack.key
        if not self.beside:
            return place.locate(key, server, entrance)
        found = place.locate_inside(key, server, entrance)
        return replace(found, root_certificate=self.authority) if found.encrypted else found

    def login(self, service: str, role: str) -> str:
        """Return the login that `role` (app, readonly, migrator, or a login's own name) stands for."""
        names = RoleNames(service)
        if role in {"app", "readonly"}:
            turn = target(self.stack.settings.place).turn(self.stack.key, self.server_of(service), service)
            found = in_use(service, turn.generation)
            return found.app if role == "app" else found.readonly
        logins = {*names.logins, *self.stack.databases[service].logins}
        if role in {"migrator", *logins}:
            return names.migrator if role == "migrator" else role
        known = ", ".join(["app", "readonly", "migrator", "admin", *sorted(logins)])
        msg = f"{service} has no role {role!r}; it has {known}"
        raise SettingsError(msg)


def context(stack: str | None) -> Context:
    """Return the context for the stack that was named, else for the one that is selected; inside a stack for that one."""
    if inside.here():
        found = settings.load()
        return Context(Project(root=found.root, name=found.project, backend=None), found.name)
    project = find_project()
    return Context(project, (stack or selected_stack(project)).rpartition("/")[2])
