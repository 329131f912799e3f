"""The stack on one screen."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import typer

from keelson import migrations
from keelson.cli.context import Context, JsonOption, StackOption, context
from keelson.cli.output import print_json, print_table, say
from keelson.endpoint import resolve
from keelson.errors import KeelsonError
from keelson.postgres import catalog
from keelson.target import Part, target

AT_ONCE = 8  # connections


@dataclass(frozen=True)
class DatabaseStatus:
    """One database as it is now; `fault` is empty when all is as it should be."""

    name: str
    server: str
    version: int = 0
    pending: tuple[str, ...] = ()
    size: int = 0  # bytes
    connections: int = 0
    fault: str = ""

    @property
    def well(self) -> bool:
        """Whether it answers and all its migrations are applied."""
        return not self.fault and not self.pending


def status(stack: StackOption = None, *, as_json: JsonOption = False) -> None:
    """Show servers and databases; exit status 1 when something is not as it should be.

    Example: keelson status --json
    """
    chosen = context(stack)
    parts = target(chosen.stack.settings.target).parts(chosen.stack.key)
    databases = look_at_databases(chosen)
    well = bool(parts) and all(part.answering for part in parts) and all(database.well for database in databases)
    if as_json:
        print_json(
            {"well": well, "parts": [asdict(part) for part in parts], "databases": [asdict(d) for d in databases]}
        )
    else:
        _print(parts, databases)
    raise typer.Exit(0 if well else 1)


def look_at_databases(chosen: Context) -> list[DatabaseStatus]:
    """Return the state of each database of the settings."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda name: _look(chosen, name), chosen.stack.databases))


def _look(chosen: Context, name: str) -> DatabaseStatus:
    server = chosen.server_of(name)
    root = chosen.project.root
    try:
        files = migrations.read_directory(root / chosen.stack.directory(name) / "migrations", root)
        with resolve(chosen.administrator(server, name)).connect("keelson status", patience=0) as connection:
            ledger = migrations.read_ledger(connection)
            size, connections = catalog.database_size(connection, name), catalog.connections(connection, name)
    except KeelsonError as fault:
        return DatabaseStatus(name, server, fault=str(fault))
    applied = [file for file in files if file.name in ledger]
    return DatabaseStatus(
        name,
        server,
        version=max((file.version for file in applied), default=0),
        pending=tuple(file.name for file in files if file.name not in ledger),
        size=size or 0,
        connections=connections,
    )


def _print(parts: tuple[Part, ...], databases: list[DatabaseStatus]) -> None:
    print_table(("PART", "STATE", "PORT", ""), ((p.name, _state(p), p.port or "", p.detail) for p in parts))
    say("")
    print_table(("DATABASE", "SERVER", "VERSION", "PENDING", "SIZE", "CONNECTIONS", ""), _rows(databases))


def _rows(databases: list[DatabaseStatus]) -> Iterator[tuple[object, ...]]:
    for d in databases:
        yield (
            d.name,
            d.server,
            d.version,
            ", ".join(d.pending) or "none",
            f"{d.size / 1e6:.1f} MB",
            d.connections,
            d.fault,
        )


def _state(part: Part) -> str:
    if part.answering:
        return "answers"
    return "does not answer" if part.running else "down"
