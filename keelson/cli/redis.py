"""Where a service finds a Redis database, by its name or number."""

from __future__ import annotations

from keelson.cli.context import Context
from keelson.errors import SettingsError
from keelson.redis.endpoint import RedisEndpoint
from keelson.redis.users import LOGINS, prefix_of, user_of
from keelson.target import target

HIGHEST = 15  # of a Redis's numbered databases


def redis_endpoint(chosen: Context, service: str, database: str | None, role: str = "app") -> RedisEndpoint:
    """Return where a service reaches a database (None: the first of the first Redis) as `role`.

    Raises:
        SettingsError: no such service, Redis, database or role.
        UnreachableError: the stack has no such Redis yet, or no such user.
    """
    chosen.server_of(service)  # refuses what is no service
    redis, number = _place(chosen, database)
    user = _user(service, role)
    place, key = target(chosen.stack.settings.place), chosen.stack.key
    return RedisEndpoint(
        address=chosen.locate(redis), number=number, user=user, password=place.password(key, redis, user)
    )


def redis_variables(chosen: Context, service: str) -> dict[str, str]:
    """Return the variables of a .env: the first database's URL, one for each name, and what keys begin with."""
    if not chosen.stack.settings.redis:
        return {}
    names = [name for redis in chosen.stack.settings.redis.values() for name in redis.databases]
    urls = {f"REDIS_{name.upper()}_URL": redis_endpoint(chosen, service, name).url() for name in names}
    usual = redis_endpoint(chosen, service, None)
    first = {"REDIS_URL": usual.url(), "REDIS_KEY_PREFIX": prefix_of(service)}
    root = usual.address.root_certificate
    return first | urls | ({"REDIS_CA_FILE": str(root)} if root else {})


def _place(chosen: Context, database: str | None) -> tuple[str, int]:
    """Return the Redis and the number of a database."""
    settings = chosen.stack.settings.redis
    if not settings:
        msg = f"stack {chosen.stack_name} has no Redis; add one to keelson:redis and run `keelson up`"
        raise SettingsError(msg)
    named = {name: (redis, number) for redis, part in settings.items() for name, number in part.databases.items()}
    first = next(iter(settings))
    if database is None:
        return first, min(settings[first].databases.values(), default=0)
    if database in named:
        return named[database]
    if database.isdecimal() and int(database) <= HIGHEST:
        return first, int(database)
    msg = f"stack {chosen.stack_name} has no Redis database {database!r}; it has {', '.join(named)}, or a number up to {HIGHEST}"
    raise SettingsError(msg)


def _user(service: str, role: str) -> str:
    users = {"app": user_of(service), **{login: login for login in LOGINS}}
    try:
        return users[role]
    except KeyError:
        msg = f"a Redis has no role {role!r}; it has {', '.join(users)}"
        raise SettingsError(msg) from None
