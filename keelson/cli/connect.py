"""Connect to a service's database or its part of a Redis, or say how to."""

from __future__ import annotations

import os
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from keelson.cli.context import Context, JsonOption, ServiceArgument, StackOption, context
from keelson.cli.output import print_json
from keelson.cli.redis import redis_endpoint, redis_variables
from keelson.endpoint import Endpoint
from keelson.errors import SettingsError
from keelson.target import target

RedisOption = Annotated[
    str | None,
    typer.Option("--redis", help="The Redis database in place of it: its name, such as cache, or its number."),
]
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
    command = [*target(chosen.stack.settings.place).client("psql"), *(arguments or ())]
    variables = {f"PG{name}": value for name, value in _libpq_variables(endpoint).items()}
    os.execvpe(command[0], command, os.environ | variables)  # noqa: S606 - psql takes this process's place


def redis_cli(
    service: ServiceArgument,
    stack: StackOption = None,
    database: Annotated[
        str | None, typer.Option("--database", "-d", help="The Redis database: its name, such as cache, or its number.")
    ] = None,
    role: Annotated[str, typer.Option("--role", help="app, admin or monitor.")] = "app",
    arguments: Annotated[list[str] | None, typer.Argument(help="Arguments for redis-cli, after --.")] = None,
) -> None:
    """Open redis-cli as a service's user, whose keys begin with the service's name and a colon.

    Example: keelson redis-cli auth --database sessions -- get auth:greeting
    """
    chosen = context(stack)
    found = redis_endpoint(chosen, service, database, role)
    command = [*target(chosen.stack.settings.place).client("redis-cli"), *found.options(), *(arguments or ())]
    os.execvpe(command[0], command, os.environ | {"REDISCLI_AUTH": found.password})  # noqa: S606 - as psql


def url(  # noqa: PLR0913, PLR0917 - the options of a command
    service: ServiceArgument,
    stack: StackOption = None,
    role: RoleOption = "app",
    origin: FromOption = Origin.host,
    form: FormOption = UrlForm.plain,
    database: DatabaseOption = None,
    redis: RedisOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Print the URL of a service's database, or of a Redis database, with its password.

    Example: keelson url portfolio --form jdbc
    """
    chosen = _from(context(stack), origin)
    if redis is None:
        endpoint = _endpoint(chosen, service, role, database)
        user, text = endpoint.user, endpoint.url(form.value)
    else:
        _refuse_form(form)
        found = redis_endpoint(chosen, service, redis, role)
        user, text = found.user, found.url()
    if as_json:
        print_json({"service": service, "role": user, "url": text})
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
    """Print a ready .env for a service: URLs for the usual drivers, libpq's variables, and the URLs of Redis.

    Example: keelson env auth > .env
    """
    chosen = _from(context(stack), origin)
    endpoint = chosen.endpoint(service, role)
    values = {
        "DATABASE_URL": endpoint.url(),
        "DATABASE_URL_ASYNCPG": endpoint.url("asyncpg"),
        "DATABASE_URL_SQLALCHEMY": endpoint.url("sqlalchemy"),
        "DATABASE_URL_JDBC": endpoint.url("jdbc"),
    } | {f"PG{name}": value for name, value in _libpq_variables(endpoint).items()}
    values |= redis_variables(chosen, service)
    if as_json:
        print_json(values)
        return
    for name, value in values.items():
        typer.echo(f"{name}={value}")


def _from(chosen: Context, origin: Origin) -> Context:
    if origin is not Origin.host and chosen.stack.settings.target == "local":
        msg = f"stack {chosen.stack_name} answers on this host only, not from a {origin.value}; use the docker or kubernetes target"
        raise SettingsError(msg)
    return chosen


def _endpoint(chosen: Context, service: str, role: str, database: str | None) -> Endpoint:
    """Return the endpoint of a service's database, or of a copy of it, which is open to administrators alone."""
    if database is None:
        return chosen.endpoint(service, role)
    return replace(chosen.endpoint(service, "admin" if role == "app" else role), database=database)


def _refuse_form(form: UrlForm) -> None:
    if form is not UrlForm.plain:
        msg = f"the URL of a Redis has one form for all drivers; leave out --form {form.value}"
        raise SettingsError(msg)


def _libpq_variables(endpoint: Endpoint) -> dict[str, str]:
    names = {"host": "HOST", "port": "PORT", "dbname": "DATABASE", "user": "USER", "password": "PASSWORD"}
    names |= {"sslmode": "SSLMODE", "sslrootcert": "SSLROOTCERT"}
    return {names[key]: value for key, value in endpoint.connection_parameters().items()}
