"""The users of a Redis: one for each service, which sees the keys of its service alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from keelson.endpoint import Reference
from keelson.redis.users import ensure_users, missing_users
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class RedisUsersInputs:
    """The Redis (as its administrator), the services, its databases' numbers, passwords that the user chose, by user.

    Another mark says that the passwords were lost. `instances` says how many there are, where there are several: each has users of its own.
    """

    reference: Reference
    services: tuple[str, ...]
    databases: tuple[int, ...] = ()
    passwords: dict[str, str] = field(default_factory=dict)
    mark: str = ""
    instances: int = 1


class RedisUsersProvider(Provider[RedisUsersInputs]):
    """Users by Redis's access control lists; they go with the Redis."""

    inputs = RedisUsersInputs
    compared: ClassVar = ("services", "databases", "passwords", "mark", "instances")

    def identify(self, inputs: RedisUsersInputs) -> str:
        """Return `redis/users`."""
        return f"{inputs.reference.server}/users"

    def make(self, inputs: RedisUsersInputs) -> Bag:
        """Make users that are missing, and bring the others to what they may."""
        ensure_users(inputs.reference, inputs.services, inputs.passwords, inputs.databases)
        return {}

    def change(self, inputs: RedisUsersInputs, state: Bag) -> Bag:
        """Drop the users of services that are gone, too: those that the state names, and no other."""
        gone = set(state["services"]) - set(inputs.services)
        ensure_users(inputs.reference, inputs.services, inputs.passwords, inputs.databases, gone)
        return {}

    def look(self, state: Bag) -> Bag | None:
        """Say whether all users are there."""
        return None if missing_users(Reference(**state["reference"]), state["services"]) else state


class RedisUsers(Managed, module="keelson", name="RedisUsers"):
    """The users of one Redis."""

    provider = RedisUsersProvider
