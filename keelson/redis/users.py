"""The users of a Redis: one for each service, which reaches the keys and channels that begin with its service's name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from keelson.endpoint import Reference
from keelson.redis.connection import connect
from keelson.target import target

SUFFIX = "_app"
RIGHTS = "+@all -@admin -@dangerous +info -function -script|flush -script|kill"


def user_of(service: str) -> str:
    """Return the name of a service's user."""
    return f"{service}{SUFFIX}"


def ensure_users(reference: Reference, services: Collection[str], chosen: Mapping[str, str]) -> None:
    """Make a user for each service, bring those that are there to what they may, and drop those of services that are gone.

    Args:
        reference: the Redis, as its administrator.
        services: the services of the stack.
        chosen: passwords that the user chose, by user; others are kept, or made.

    Raises:
        UnreachableError: the Redis does not answer.
    """
    place = target(reference.target)
    with connect(reference) as redis:
        for service in services:
            user = user_of(service)
            password = place.ensure_password(reference.stack, reference.server, user, chosen.get(user))
            rules = f"reset on >{password} ~{service}:* &{service}:* &__keyspace@*__:{service}:* {RIGHTS}"
            redis.execute_command("ACL SETUSER", user, *rules.split(" "))  # type: ignore[no-untyped-call]
        for user in _service_users(map(str, redis.acl_users())) - {user_of(service) for service in services}:
            redis.acl_deluser(user)
        redis.acl_save()


def missing_users(reference: Reference, services: Collection[str]) -> set[str]:
    """Return the services that have no user; raises UnreachableError when the Redis does not answer."""
    with connect(reference) as redis:
        known = set(redis.acl_users())
    return {service for service in services if user_of(service) not in known}


def _service_users(users: Iterable[str]) -> set[str]:
    return {user for user in users if user.endswith(SUFFIX)}
