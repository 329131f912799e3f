"""All commands, put together."""

from __future__ import annotations

import typer

from keelson.cli import backup, cache, connect, doctor, lifecycle, logs, migrate, process, restore, service, status

application = typer.Typer(
    help="A database for every service, the same in every environment.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for command in (
    lifecycle.up,
    lifecycle.destroy,
    lifecycle.preview,
    status.status,
    doctor.doctor,
    connect.psql,
    connect.url,
    connect.env,
    restore.restore,
    logs.logs,
    process.start,
    process.stop,
    process.restart,
):
    application.command()(command)

application.add_typer(
    migrate.application, name="migrate", help="Migrations: what is applied, what is pending, a new file."
)
application.add_typer(backup.application, name="backup", help="Backups: make one now, list, verify, prune.")
application.add_typer(service.application, name="service", help="Services of the product.")
application.add_typer(cache.application, name="cache", help="The engine and the private root that all checkouts share.")
