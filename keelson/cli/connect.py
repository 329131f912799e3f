"""Connect to a service's database or its part of a Redis, or say how to."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from keelson.cli.context import Context, context
from keelson.cli.options import JsonOption, ServiceArgument, StackOption
from keelson.cli.output import note, print_json
from keelson.cli.place import hand_over
from keelson.cli.redis import redis_endpoint, redis_variables
from keelson.endpoint import Endpoint, resolve
from keelson.entrances import VARIABLES, Entrance
from keelson.errors import PlatformError, SettingsError
from keelson.target import Address, target

RedisOption = Annotated[
    str | None,
    typer.Option("--redis", help="The Redis database in place of it: its name, such as cache, or its number."),
]
RoleOption = Annotated[str, typer.Option("--role", help="app, readonly, migrator, admin, or a login's own name.")]

DatabaseOption = Annotated[
    str | None,
    typer.Option("--database", help="A copy that a backup was restored into, in place of the service's own database."),
]


BesideOption = Annotated[
    str | None,
    typer.Option("--beside", help="A server that was restored beside the service's own, as its administrator."),
]
ReadonlyOption = Annotated[bool, typer.Option("--readonly", help="Its server's replicas, which take no writes.")]
PooledOption = Annotated[bool, typer.Option("--pooled", help="Its server's pooler, which is for applications.")]
UNPOOLED = frozenset({"admin", "migrator"})  # roles whose work needs a session of its own


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
AuthorityOption = Annotated[
    str | None,
    typer.Option(
        "--ca",
        metavar="FILE[:PATH]",
        help="With --from container or cluster: write the certificate that servers are verified by to FILE, which containers see as PATH.",
    ),
]
FormOption = Annotated[
    UrlForm, typer.Option("--form", help="For which driver: libpq, asyncpg, SQLAlchemy on asyncpg, JDBC.")
]


def psql(  # noqa: PLR0913 - the options of a command
    service: ServiceArgument,
    stack: StackOption = None,
    role: RoleOption = "app",
    database: DatabaseOption = None,
    beside: BesideOption = None,
    *,
    readonly: ReadonlyOption = False,
    pooled: PooledOption = False,
    arguments: Annotated[list[str] | None, typer.Argument(help="Arguments for psql, after --.")] = None,
) -> None:
    """Open psql on a service's database.

    Example: keelson psql auth --role readonly -- -c 'select count(*) from users'
    """
    chosen = context(stack)
    entrance = _entrance(readonly=readonly, pooled=pooled)
    flags = [option for option, given in (("--readonly", readonly), ("--pooled", pooled)) if given]
    own = ["--role", role, *(["--database", database] if database else []), *flags]
    program = _client(chosen, "psql", "psql", service, *own, "--", *(arguments or ()))
    endpoint = _restored(chosen, service, beside, database) or _endpoint(chosen, service, role, database, entrance)
    variables = endpoint.libpq_variables()
    hand_over([*program, *(arguments or ())], variables, fleeting=endpoint.address.fleeting)


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
    own = ["--role", role, *(["--database", database] if database else [])]
    program = _client(chosen, "redis-cli", "redis-cli", service, *own, "--", *(arguments or ()))
    found = redis_endpoint(chosen, service, database, role)
    command = [*program, *found.options(), *(arguments or ())]
    hand_over(command, {"REDISCLI_AUTH": found.password}, fleeting=found.address.fleeting)


def url(  # noqa: PLR0913, PLR0917 - the options of a command
    service: ServiceArgument,
    stack: StackOption = None,
    role: RoleOption = "app",
    origin: FromOption = Origin.host,
    form: FormOption = UrlForm.plain,
    database: DatabaseOption = None,
    redis: RedisOption = None,
    authority: AuthorityOption = None,
    beside: BesideOption = None,
    *,
    readonly: ReadonlyOption = False,
    pooled: PooledOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print the URL of a service's database, or of a Redis database, with its password.

    Example: keelson url portfolio --form jdbc

    Example: keelson url portfolio --readonly --from cluster
    """
    entrance = _entrance(readonly=readonly, pooled=pooled)
    chosen = _from(context(stack), origin, authority)
    if redis is None:
        endpoint = _restored(chosen, service, beside, database) or _endpoint(chosen, service, role, database, entrance)
        _refuse_fleeting(chosen, endpoint.address)
        user, text = endpoint.user, endpoint.url(form.value)
    else:
        _refuse_form(form)
        _refuse_entrance(entrance)
        found = redis_endpoint(chosen, service, redis, role)
        _refuse_fleeting(chosen, found.address)
        user, text = found.user, found.url()
    if as_json:
        print_json({"service": service, "role": user, "url": text})
    else:
        typer.echo(text)


def env(  # noqa: PLR0913 - the options of a command
    service: ServiceArgument,
    stack: StackOption = None,
    role: RoleOption = "app",
    origin: FromOption = Origin.host,
    authority: AuthorityOption = None,
    *,
    readonly: ReadonlyOption = False,
    pooled: PooledOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print a ready .env for a service: URLs for the usual drivers, libpq's variables, and the URLs of Redis.

    Example: keelson env auth > .env

    Example: keelson env auth --from container --ca ca.crt:/etc/keelson/ca.crt > .env
    """
    entrance = _entrance(readonly=readonly, pooled=pooled)
    chosen = _from(context(stack), origin, authority)
    endpoint = _endpoint(chosen, service, role, None, entrance)
    _refuse_fleeting(chosen, endpoint.address)
    others = _others(chosen, service, role) if entrance == "primary" else {}
    values = endpoint.variables() | others | redis_variables(chosen, service)
    if as_json:
        print_json(values)
        return
    for name, value in values.items():
        typer.echo(f"{name}={value}")


def _client(chosen: Context, program: str, *arguments: str) -> list[str]:
    """Return the command of a client program; where this machine has none, run the whole command inside the stack."""
    place = target(chosen.stack.settings.place)
    try:
        return place.client(program)
    except PlatformError:
        status = place.run_inside(chosen.stack.key, arguments, reads=True)
        if status is None:
            raise
        raise typer.Exit(status) from None


def _from(chosen: Context, origin: Origin, authority: str | None) -> Context:
    """Return the context for connections of `origin`; write the authority's certificate, where that is asked for."""
    of_target = {"docker": Origin.container, "kubernetes": Origin.cluster}.get(chosen.stack.settings.target)
    if origin is Origin.host:
        if authority:
            msg = "--ca goes with --from container or cluster; on this machine the URL names a file that is there"
            raise SettingsError(msg)
        return chosen
    if origin is not of_target:
        where = f"from a {of_target.value} or this host" if of_target else "on this host only"
        step = f"use --from {of_target.value}" if of_target else "use the docker or kubernetes target"
        msg = f"stack {chosen.stack_name} answers {where}, not from a {origin.value}; {step}"
        raise SettingsError(msg)
    if authority:
        folder = Path(authority.partition(":")[0]).resolve().parent
        return replace(chosen, beside=True, authority=_write_authority(chosen, authority), folder=folder)
    note("these connections are encrypted, and believe whoever answers; to verify the server, add --ca FILE")
    return replace(chosen, beside=True)


def _write_authority(chosen: Context, option: str) -> Path:
    """Write the certificate to the file that `FILE` or `FILE:PATH` names; return the path by which containers see it."""
    file, _, seen = option.partition(":")
    text = target(chosen.stack.settings.place).authority(chosen.stack.key)
    try:
        Path(file).write_text(text, encoding="ascii")
    except OSError as fault:
        msg = f"cannot write the certificate to {file}: {fault.strerror}; name another file"
        raise PlatformError(msg) from None
    return Path(seen) if seen else Path(file).resolve()


def _refuse_fleeting(chosen: Context, address: Address) -> None:
    if not address.fleeting:
        return
    if chosen.stack.settings.target == "kubernetes":
        msg = (
            f"this machine reaches stack {chosen.stack_name} by a port that ends with this command, so no URL would outlast it; give "
            "applications in the cluster the one of --from cluster, and use `keelson psql` or `keelson redis-cli` here"
        )
    else:
        msg = (
            f"stack {chosen.stack_name} publishes no port that this machine reaches, so no URL would outlast this command; "
            "give applications in containers the one of --from container, or publish ports (keelson:docker.publish)"
        )
    raise SettingsError(msg)


def _endpoint(chosen: Context, service: str, role: str, database: str | None, entrance: Entrance) -> Endpoint:
    """Return the endpoint of a service's database, or of a copy of it, which is open to administrators alone."""
    who = "admin" if database and role == "app" else role
    if entrance == "pooler" and who in UNPOOLED:
        msg = f"the pooler is for applications, and {who} needs sessions of its own; leave out --pooled"
        raise SettingsError(msg)
    found = chosen.endpoint(service, who, entrance)
    return replace(found, database=database) if database else found


def _restored(chosen: Context, service: str, beside: str | None, database: str | None) -> Endpoint | None:
    """Return the endpoint of a service on a server that was restored beside its own; None where none is meant."""
    if beside is None:
        return None
    from keelson.cli.backup_server import of_cluster  # noqa: PLC0415 - few commands need it

    server, key = chosen.server_of(service), chosen.stack.key
    if ours := of_cluster(chosen):
        known = ours.known_beside(chosen, server)
    else:
        known = [name for name, _ in target(chosen.stack.settings.place).archives().sides(key, server)]
    if beside not in known:
        msg = f"no server {beside!r} was restored beside {server}; there are: {', '.join(known) or 'none'}"
        raise SettingsError(msg)
    return resolve(chosen.administrator(beside, database or service))


def _entrance(*, readonly: bool, pooled: bool) -> Entrance:
    """Return by which entrance a server is meant."""
    if readonly and pooled:
        msg = "give one of --readonly and --pooled: the pooler leads to the server that takes writes"
        raise typer.BadParameter(msg)
    return "replicas" if readonly else "pooler" if pooled else "primary"


def _others(chosen: Context, service: str, role: str) -> dict[str, str]:
    """Return the URLs of the entrances that the service's server has beside the usual one."""
    entrances = chosen.stack.settings.entrances_of(chosen.server_of(service))
    if role in UNPOOLED:
        entrances = tuple(each for each in entrances if each != "pooler")
    return {VARIABLES[each]: chosen.endpoint(service, role, each).url() for each in entrances}


def _refuse_form(form: UrlForm) -> None:
    if form is not UrlForm.plain:
        msg = f"the URL of a Redis has one form for all drivers; leave out --form {form.value}"
        raise SettingsError(msg)


def _refuse_entrance(entrance: Entrance) -> None:
    if entrance != "primary":
        msg = "--readonly and --pooled are of a PostgreSQL server; leave them out with --redis"
        raise SettingsError(msg)
