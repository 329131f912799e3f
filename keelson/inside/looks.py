"""Whether a part answers, asked as a client asks, from wherever a target locates it."""

from __future__ import annotations

import http.client

import psycopg

from keelson.errors import KeelsonError
from keelson.target import Address, Target

SECONDS = 2.0  # until a part must have answered
PAGES = {"pgadmin": "/misc/ping", "agent": "/live"}


def fault_of(place: Target, stack: str, kind: str, name: str) -> str:
    """Return why a part does not answer; nothing where it does."""
    try:
        address = place.locate(stack, name)
        if kind == "server":
            return _server(address, place.password(stack, name, "postgres"))
        if kind == "redis":
            return _redis(address, place.password(stack, name, "admin"))
    except KeelsonError as fault:
        return str(fault)
    return _page(address, PAGES[kind]) if kind in PAGES else ""


def _server(address: Address, password: str) -> str:
    try:
        psycopg.connect(
            host=address.host,
            port=address.port,
            user="postgres",
            password=password,
            dbname="postgres",
            sslmode="verify-full",
            sslrootcert=str(address.root_certificate),
            connect_timeout=int(SECONDS),
            application_name="keelson",
        ).close()
    except psycopg.Error as fault:
        return next(iter(str(fault).strip().splitlines()), "does not answer")
    return ""


def _redis(address: Address, password: str) -> str:
    from keelson.redis.wire import RefusedError, conversation  # noqa: PLC0415

    try:
        with conversation(address.port, "admin", password, SECONDS, host=address.host) as redis:
            redis.ask("PING")
    except (OSError, RefusedError) as fault:
        return _told(fault)
    return ""


def _page(address: Address, page: str) -> str:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=SECONDS)
    try:
        connection.request("GET", page)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as fault:
        return _told(fault)
    finally:
        connection.close()
    return "" if status == http.client.OK else f"answers {status}"


def _told(fault: Exception) -> str:
    reason = fault.strerror if isinstance(fault, OSError) else ""
    return reason or str(fault) or "does not answer"
