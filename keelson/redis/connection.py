"""A connection to a Redis, from a reference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from keelson.endpoint import Reference
from keelson.errors import UnreachableError
from keelson.target import Address, target

if TYPE_CHECKING:
    import redis

SECONDS = 5.0  # until a Redis must have answered


@contextmanager
def connect(
    reference: Reference,
    database: int = 0,
    *,
    text: bool = True,
    seconds: float = SECONDS,
    address: Address | None = None,
) -> Iterator[redis.Redis]:
    """Connect to one numbered database as the role of `reference`.

    Replies are text, or bytes where `text` is not set, and come within `seconds`. An `address` says which one of several instances is meant.

    Raises:
        UnreachableError: the Redis does not answer, or refuses the login.
    """
    import redis  # noqa: PLC0415 - slow, and a preview and a status do without
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    place = target(reference.target)
    address = address or place.locate(reference.stack, reference.server)
    tls = {"ssl": True, "ssl_ca_certs": str(address.root_certificate)} if address.root_certificate else {}
    client = redis.Redis(
        host=address.host,
        port=address.port,
        db=database,
        username=reference.role,
        password=place.password(reference.stack, reference.server, reference.role),
        socket_timeout=seconds,
        socket_connect_timeout=SECONDS,
        retry=Retry(NoBackoff(), 0),  # its own default tries for most of a minute
        decode_responses=text,
        client_name="keelson",
        **tls,  # type: ignore[arg-type]
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
