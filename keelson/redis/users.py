"""The users of a Redis: the platform's own, and one for each service, which reaches what begins with its service's name."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

from keelson.endpoint import Reference
from keelson.errors import SettingsError
from keelson.redis.connection import connect
from keelson.target import target

SUFFIX = "_app"
LOGINS = ("admin", "backup", "monitor")  # of the platform
PLATFORM_RIGHTS = {
    "admin": "~* &* +@all",
    "backup": "-@all +ping +replconf +sync +psync",  # what `redis-cli --rdb` sends
    # What an exporter asks for, and nothing that shows a key or a command's arguments.
    "monitor": "-@all +ping +info +select +dbsize +client|setname +client|setinfo +config|get +slowlog|len +latency|latest +latency|histogram",
}
# As whom the instances of a Redis that has several work together: replicas ask the master, sentinels watch all, the proxy looks for
# the master. The rights are those that Redis's documentation names, and one to refuse writes while the master's part is handed over.
INNER_RIGHTS = {
    "replica": "-@all +ping +psync +replconf",
    "sentinel": (
        "resetchannels &__sentinel__:hello -@all +ping +info +role +subscribe +publish +multi +exec +slaveof +config|rewrite "
        "+client|setname +config|set +client|kill +script|kill"
    ),
    "proxy": "-@all +ping +info",
}
# Without the last five a service would see the names of the others' keys and channels, which may be session tokens.
SERVICE_RIGHTS = (
    "+@all -@admin -@dangerous +info -function -script|flush -script|kill "
    "-scan -randomkey -client|tracking -pubsub|channels -pubsub|shardchannels"
)


def user_of(service: str) -> str:
    """Return the name of a service's user."""
    return f"{service}{SUFFIX}"


def prefix_of(service: str) -> str:
    """Return what the keys and channels of a service begin with."""
    return f"{service}:"


def hashed(password: str) -> str:
    """Return a password as an access control list takes it, in place of its text."""
    return f"#{hashlib.sha256(password.encode()).hexdigest()}"


def platform_rules(passwords: Mapping[str, str]) -> dict[str, str]:
    """Return what the platform's own users may, by user; `default`, whom everybody is who has not logged in, may nothing.

    Those by which several instances work together are among them where they have passwords.
    """
    inner = {login: rights for login, rights in INNER_RIGHTS.items() if login in passwords}
    rules = {
        login: f"reset on {hashed(passwords[login])} {rights}" for login, rights in (PLATFORM_RIGHTS | inner).items()
    }
    return {"default": "reset", **rules}


def service_rules(service: str, password: str, databases: Collection[int]) -> str:
    """Return what a service's user may: its own keys and channels, and the notifications about its keys.

    A pattern that somebody subscribes to is compared with these letter by letter, so each numbered database has one.
    """
    prefix = prefix_of(service)
    spaces = [f"&__keyspace@{number}__:{prefix}*" for number in ("*", *sorted(databases))]
    return f"reset on {hashed(password)} ~{prefix}* &{prefix}* {' '.join(spaces)} {SERVICE_RIGHTS}"


def check_chosen(redis: str, chosen: Collection[str], services: Collection[str]) -> None:
    """Raise SettingsError for a chosen password of a user whom the Redis does not have."""
    known = [*LOGINS, *map(user_of, services)]
    if unknown := sorted(set(chosen) - set(known)):
        msg = f"the setting 'keelson:redis.{redis}.passwords' names {unknown[0]!r}; the users are {', '.join(known)}"
        raise SettingsError(msg)


def ensure_users(
    reference: Reference,
    services: Collection[str],
    chosen: Mapping[str, str],
    databases: Collection[int] = (),
    gone: Collection[str] = (),
) -> None:
    """Make a user for each service, bring those that are there to what they may, and drop those of services that are gone.

    All that on each instance, where a Redis has several: none passes its users on.

    Args:
        reference: the Redis, as its administrator.
        services: the services of the stack.
        chosen: passwords that the user chose, by user; others are kept, or made.
        databases: the numbered databases that have a name.
        gone: services that had a user until now; nobody else's user is dropped.

    Raises:
        UnreachableError: the Redis does not answer.
    """
    place = target(reference.target)
    rules: dict[str, str] = {}
    for service in services:
        user = user_of(service)
        password = place.ensure_password(reference.stack, reference.server, user, chosen.get(user))
        rules[user] = service_rules(service, password, databases)
    place.keep_users(reference.stack, reference.server, rules)
    dropped = {user_of(service) for service in gone} - rules.keys()
    for address in place.instances(reference.stack, reference.server):
        with connect(reference, address=address) as redis:
            for user, rule in rules.items():
                redis.execute_command("ACL SETUSER", user, *rule.split(" "))  # type: ignore[no-untyped-call]
            if dropped:
                redis.acl_deluser(*sorted(dropped))
            redis.acl_save()


def missing_users(reference: Reference, services: Collection[str]) -> set[str]:
    """Return the services that have no user on some instance; raises UnreachableError when one does not answer."""
    missing: set[str] = set()
    for address in target(reference.target).instances(reference.stack, reference.server):
        with connect(reference, address=address) as redis:
            known = set(redis.acl_users())
        missing |= {service for service in services if user_of(service) not in known}
    return missing
