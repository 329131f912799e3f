"""A connection to a Redis, from a reference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from keelson.endpoint import Reference
from keelson.errors import UnreachableError
from keelson.target import target

SECONDS = 5.0  # until a Redis must have answered


@contextmanager
def connect(reference: Reference, database: int = 0) -> Iterator[redis.Redis]:
    """Connect to one numbered database as the role of `reference`; replies are text.

    Raises:
        UnreachableError: the Redis does not answer, or refuses the login.
    """
    place = target(reference.target)
    address = place.locate(reference.stack, reference.server)
    client = redis.Redis(
        host=address.host,
        port=address.port,
        db=database,
        username=reference.role,
        password=place.password(reference.stack, reference.server, reference.role),
        socket_timeout=SECONDS,
        socket_connect_timeout=SECONDS,
        decode_responses=True,
        client_name="keelson",
    )
    try:
        with client:
            client.ping()
            yield client
    except (redis.ConnectionError, redis.TimeoutError) as fault:
        msg = (
            f"Redis {reference.server} does not answer on {address.host}:{address.port} ({fault}); run `keelson start`"
        )
        raise UnreachableError(msg) from None
