"""A backup's dump as a plain file, for anyone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from keelson.backups.exporting import export as export_dump
from keelson.backups.exporting import export_to
from keelson.cli.backup import BackupOption, IdentityOption, identity_words, source_of, store_of
from keelson.cli.context import context
from keelson.cli.options import ServiceArgument, StackOption
from keelson.cli.output import note
from keelson.cli.place import run_where_files_lie
from keelson.errors import BackupError
from keelson.target import target


def export(
    service: ServiceArgument,
    file: Annotated[Path, typer.Argument(help="A new file; `-` is standard output.")],
    stack: StackOption = None,
    backup: BackupOption = None,
    *,
    identity: IdentityOption = None,
) -> None:
    """Write a backup's dump to a file, decrypted: pg_restore reads it, redis-server that of a Redis.

    All of it is compared with the manifest; what is not as it was backed up leaves no file, and with `-` exit status 1.

    Example: keelson backup export portfolio portfolio.dump
    """
    chosen = context(stack)
    source_of(chosen, service)  # an unknown one is told first
    options = [*(["--backup", backup] if backup else ()), *identity_words(identity)]
    if str(file) == "-":
        run_where_files_lie(chosen, "backup", "export", *options, service, "-")
        export_to(store_of(chosen, identity).find(service, backup), sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    if target(chosen.stack.settings.place).platform():
        msg = f"the backups lie on {target(chosen.stack.settings.place).platform()}, and {file} is a file here; write `keelson backup export {service} - > {file}`"
        raise BackupError(msg)
    found = store_of(chosen, identity).find(service, backup)
    export_dump(found, file)
    note(f"{file} holds the backup {found.id} of {service} in clear; remove it when it has served")
