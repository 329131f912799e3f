"""The server and the database that a drill restores into: private, and gone with the drill, however it ends."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from keelson import paths
from keelson.backups.copies import ROLES, NewCopy, make_empty, refuse_other_server
from keelson.backups.engines import Contents
from keelson.backups.folder import Folder
from keelson.endpoint import Endpoint
from keelson.errors import BackupError
from keelson.local import throwaway
from keelson.local.throwaway import ADMINISTRATOR, PORT, Throwaway
from keelson.target import Address

SPARE = 1.3  # of the database's size: what restoring it takes beside the data
BASIS = 300_000_000  # bytes of a server without any data


@dataclass(frozen=True)
class Scratch:
    """A server with nothing in it but what this drill puts there."""

    server: Throwaway

    @property
    def version(self) -> str:
        """The server's version."""
        with self.server.connect() as admin:
            return admin.info.parameter_status("server_version") or ""

    def make_roles(self, folder: Folder, contents: Contents) -> tuple[list[str], list[str]]:
        """Make the roles of a backup; return a sentence for what is wrong with them, and those that had to be made without it."""
        with folder.open(ROLES) as file:
            text = b"".join(iter(file.read, b""))
        with self.server.connect() as admin:
            faults = _run(admin, text)
            rows = admin.execute("SELECT rolname FROM pg_catalog.pg_roles").fetchall()
            missing = sorted({*contents.facts["roles"]} - {row[0] for row in rows})
            for role in missing:
                admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        faults += [f"the role {role} is named by the database, and roles.sql does not make it" for role in missing]
        return faults, missing

    def refuse_unfit(self, contents: Contents) -> None:
        """Raise UnfitServerError where the server lacks what a backup needs."""
        with self.server.connect() as admin:
            refuse_other_server(admin, contents.facts)

    def empty(self, name: str, contents: Contents) -> NewCopy:
        """Make the database `name`, to be filled."""
        with self.server.connect() as admin:
            make_empty(admin, name, contents.facts["database"]["owner"], contents)
            admin.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT -1").format(sql.Identifier(name)))
        address = Address(host=str(self.server.sockets), port=int(PORT))
        return NewCopy(Endpoint(address=address, database=name, user=ADMINISTRATOR, password=""), contents)


@contextmanager
def running(contents: Contents) -> Iterator[Scratch]:
    """Run a server for the block, with room for what is restored.

    Raises:
        BackupError: the disk has too little room.
        PlatformError: this machine has no private root.
        ServerError: the server does not start.
    """
    base = paths.private_directory(paths.data()) / "scratch"
    needed = int(contents.facts.get("size") or 0) * SPARE + BASIS
    free = shutil.disk_usage(base.parent).free
    if free < needed:
        msg = f"a drill needs about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free under {base.parent}; make room there"
        raise BackupError(msg)
    with throwaway.running(base) as server:
        yield Scratch(server)


def _run(admin: psycopg.Connection, text: bytes) -> list[str]:
    try:
        admin.execute(text)
    except psycopg.Error as fault:
        return [f"roles.sql of the backup fails: {fault.diag.message_primary or fault}"]
    return []
