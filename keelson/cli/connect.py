"""Connect to a service's database, or say how to."""

from __future__ import annotations

import os
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from keelson.cli.context import Context, JsonOption, ServiceArgument, StackOption, context
from keelson.cli.output import print_json
from keelson.endpoint import Endpoint
from keelson.errors import SettingsError
from keelson.target import target

RoleOption = Annotated[str, typer.Option("--role", help="app, readonly, migrator, admin, or a login's own name.")]

DatabaseOption = Annotated[
    str | None,
    typer.Option("--database", help="A copy that a backup was restored into, in place of the service's own database."),
]


class Origin(StrEnum):
    """From where a connection will be made."""

    host = "host"
    container = "container"
    cluster = "cluster"


class UrlForm(StrEnum):
    """For which driver a URL is written."""

    plain = "plain"
    asyncpg = "asyncpg"
    sqlalchemy = "sqlalchemy"
    jdbc = "jdbc"


FromOption = Annotated[Origin, typer.Option("--from", help="From where the connection will be made.")]
FormOption = Annotated[
    UrlForm, typer.Option("--form", help="For which driver: libpq, asyncpg, SQLAlchemy on asyncpg, JDBC.")
]


def psql(
    service: ServiceArgument,
    stack: StackOption = None,
    role: RoleOption = "app",
    database: DatabaseOption = None,
    arguments: Annotated[list[str] | None, typer.Argument(help="Arguments for psql, after --.")] = None,
) -> None:
    """Open psql on a service's database.

    Example: keelson psql auth --role readonly -- -c 'select count(*) from users'
    """
    chosen = context(stack)
    endpoint = _endpoint(chosen, service, role, database)
    command = [*target(chosen.stack.settings.target).client("psql"), *(arguments or ())]
    variables = {f"PG{name}": value for name, value in _libpq_variables(endpoint).items()}
    os.execvpe(command[0], command, os.environ | variables)  # noqa: S606 - psql takes this process's place


def url(  # noqa: PLR0913, PLR0917 - the options of a command
    service: ServiceArgument,
    stack: StackOption = None,
    role: RoleOption = "app",
    origin: FromOption = Origin.host,
    form: FormOption = UrlForm.plain,
    database: DatabaseOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Print the URL of a service's database, with its password.

    Example: keelson url portfolio --form jdbc
    """
    endpoint = _reachable(stack, service, role, origin, database)
    text = endpoint.url(form.value)
    if as_json:
        print_json({"service": service, "role": endpoint.user, "url": text})
    else:
        typer.echo(text)


def env(
    service: ServiceArgument,
    stack: StackOption = None,
    role: RoleOption = "app",
    origin: FromOption = Origin.host,
    *,
    as_json: JsonOption = False,
) -> None:
    """Print a ready .env for a service: URLs for the usual drivers, and libpq's variables.

    Example: keelson env auth > .env
    """
    endpoint = _reachable(stack, service, role, origin)
    values = {
        "DATABASE_URL": endpoint.url(),
        "DATABASE_URL_ASYNCPG": endpoint.url("asyncpg"),
        "DATABASE_URL_SQLALCHEMY": endpoint.url("sqlalchemy"),
        "DATABASE_URL_JDBC": endpoint.url("jdbc"),
    } | {f"PG{name}": value for name, value in _libpq_variables(endpoint).items()}
    if as_json:
        print_json(values)
        return
    for name, value in values.items():
        typer.echo(f"{name}={value}")


def _reachable(stack: str | None, service: str, role: str, origin: Origin, database: str | None = None) -> Endpoint:
    chosen = context(stack)
    if origin is not Origin.host and chosen.stack.settings.target == "local":
        msg = f"stack {chosen.stack_name} answers on this host only, not from a {origin.value}; use the docker or kubernetes target"
        raise SettingsError(msg)
    return _endpoint(chosen, service, role, database)


def _endpoint(chosen: Context, service: str, role: str, database: str | None) -> Endpoint:
    """Return the endpoint of a service's database, or of a copy of it, which is open to administrators alone."""
    if database is None:
        return chosen.endpoint(service, role)
    return replace(chosen.endpoint(service, "admin" if role == "app" else role), database=database)


def _libpq_variables(endpoint: Endpoint) -> dict[str, str]:
    names = {"host": "HOST", "port": "PORT", "dbname": "DATABASE", "user": "USER", "password": "PASSWORD"}
    names |= {"sslmode": "SSLMODE", "sslrootcert": "SSLROOTCERT"}
    return {names[key]: value for key, value in endpoint.connection_parameters().items()}
