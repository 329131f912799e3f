"""All commands, put together."""

from __future__ import annotations

import typer

from keelson.cli import (
    backup,
    cache,
    connect,
    doctor,
    forward,
    images,
    lifecycle,
    logs,
    migrate,
    pgadmin,
    preview,
    process,
    render,
    report,
    restore,
    service,
    status,
    switchover,
)

application = typer.Typer(
    help="A database for every service, the same in every environment.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for command in (
    lifecycle.up,
    lifecycle.destroy,
    preview.preview,
    render.render,
    status.status,
    report.report,
    doctor.doctor,
    connect.psql,
    connect.redis_cli,
    connect.url,
    connect.env,
    pgadmin.pgadmin,
    forward.forward,
    restore.restore,
    logs.logs,
    process.start,
    process.stop,
    process.restart,
    switchover.switchover,
):
    application.command()(command)

application.add_typer(
    migrate.application, name="migrate", help="Migrations: what is applied, what is pending, a new file."
)
application.add_typer(backup.application, name="backup", help="Backups: make one now, list, verify, prune.")
application.add_typer(service.application, name="service", help="Services of the product.")
application.add_typer(cache.application, name="cache", help="What all checkouts share: engine, private root, pgAdmin.")
application.add_typer(images.application, name="images", help="Images made here, in place of the official ones.")
