"""What a command needs of a database's files to make others like it: what it begins with, its seeds and checks."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated

import psycopg
import typer

from keelson import timescale
from keelson.cli.context import Context
from keelson.cli.migrate_target import Place
from keelson.migrations import seeds
from keelson.migrations.files import MigrationFile
from keelson.migrations.scratch import Origin
from keelson.migrations.statements import statements_of
from keelson.migrations.subject import Subject
from keelson.migrations.verify import Data
from keelson.postgres.roles import ExtraLogin
from keelson.settings.privacy import read_privacy
from keelson.settings.roles import bounds_of
from keelson.settings.ways import belonging

ScratchOption = Annotated[
    str | None,
    typer.Option("--scratch", help="A server on which databases may be made and dropped, in place of a private one."),
]

_EXTENSION = re.compile(r'create\s+extension\s+(?:if\s+not\s+exists\s+)?"?(\w[\w-]*)', re.IGNORECASE)
_OWN = frozenset({"plpgsql"})  # each database has it


def subject_of(where: Place, live: psycopg.Connection | None) -> Subject:
    """Return a database's files; a plain database's extensions and roles are those that the live one has."""
    if where.chosen:
        return _of_service(where, where.chosen)
    files = where.files()
    origin = Origin() if live is None else _origin_of(live, files)
    return Subject(name=live.info.dbname if live else where.name, origin=origin, files=files)


def data_of(where: Place) -> Data:
    """Return the seeds that the stack's environment has for a service, and the service's checks."""
    chosen, service = where.chosen, where.service
    if chosen is None:
        return Data()
    root, environment = chosen.project.root, chosen.stack.settings.environment
    folder = root / chosen.stack.directory(service)
    definition = chosen.stack.databases[service]
    found = seeds.read_seeds(folder / "seeds", definition.seed_folders(environment, folder), root, environment)
    named = belonging(definition.tenants, f"{chosen.stack.directory(service)}/database.yaml")
    return Data(
        environment,
        found,
        tuple(sorted((folder / "checks").glob("*.sql"))),
        named,
        read_privacy(folder, root),
        definition.audit,
    )


def _of_service(where: Place, chosen: Context) -> Subject:
    service, databases = where.service, chosen.stack.databases
    definition, folder = databases[service], where.root / chosen.stack.directory(service)
    logins = {role: ExtraLogin(**rights) for role, rights in definition.rights.items()}
    timescaledb = chosen.stack.settings.servers[definition.server].timescaledb
    origin = Origin(
        service=service,
        extensions=(*definition.extensions, *(["timescaledb"] if timescaledb else [])),
        logins=logins,
        bounds=bounds_of(chosen.stack, service),
    )
    others = [
        Origin(service=name, logins=dict.fromkeys(other.rights, ExtraLogin())) for name, other in databases.items()
    ]
    named = tuple(role for other in others if other.service != service for role in other.role_names)
    declared = folder / "timescale.yaml"
    return Subject(
        name=service,
        origin=replace(origin, roles=named),
        files=where.files(),
        out_of_order=where.location.out_of_order,
        policies=timescale.read_definition(declared) if declared.exists() else None,
    )


def _origin_of(live: psycopg.Connection, files: tuple[MigrationFile, ...]) -> Origin:
    """Return what a plain database was before its first migration, as far as it can be seen now."""
    there = {name for (name,) in live.execute("SELECT extname FROM pg_catalog.pg_extension").fetchall()}
    made = {
        match[1]
        for file in files
        for statement in statements_of(file.up)
        if (match := _EXTENSION.match(statement.text))
    }
    roles = live.execute("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1").fetchall()
    query = "SELECT coalesce((SELECT tableowner FROM pg_catalog.pg_tables WHERE (schemaname, tablename) = ('public', 'schema_versions')), current_user)"
    row = live.execute(query).fetchone()
    return Origin(
        extensions=tuple(sorted(there - made - _OWN)),
        user=row[0] if row else "",
        roles=tuple(name for (name,) in roles),
    )
