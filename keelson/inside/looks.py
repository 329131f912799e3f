"""Whether a part answers, asked as a client asks, from wherever a target locates it."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

from keelson.errors import KeelsonError
from keelson.redis.wire import Conversation, RefusedError, conversation
from keelson.target import Address, Target

SECONDS = 2.0  # until a part must have answered
LAG = 5  # that a replica may be silent
_REPLICA = re.compile(r"slave\d+")
PAGES = {"pgadmin": "/misc/ping", "agent": "/live", "postgres-exporter": "/", "redis-exporter": "/health"}


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


def instances_of(record: Mapping[str, Any]) -> int:
    """Return how many instances a Redis has, by its record in the registry."""
    return int((record.get("settings") or {}).get("instances", 1)) if record.get("kind") == "redis" else 1


def lack_of(place: Target, stack: str, record: Mapping[str, Any], hosts: Mapping[str, str] | None = None) -> str:
    """Return what a Redis of several instances lacks that answers; nothing where all of them work.

    `hosts` are the instances by their addresses; where they are not given, names are looked up.
    """
    if (count := instances_of(record)) == 1:
        return ""
    try:
        known = hosts or {socket.gethostbyname(host): host for host in _hosts(record, count)}
        with _monitored(place, stack, str(record["name"])) as redis:
            master, following = known.get(_own_address(redis), ""), _following(redis)
    except (KeelsonError, OSError, RefusedError) as fault:
        return f"its instances could not be looked at ({fault or 'not in time'})"
    if missing := sorted(set(_hosts(record, count)) - {known.get(each) for each in following} - {master}):
        are = "do" if len(missing) > 1 else "does"
        return f"{' and '.join(missing)} {are} not follow the master {master}"
    return ""


def master_of(place: Target, stack: str, record: Mapping[str, Any]) -> str:
    """Return the address of the instance of a Redis that is the master now; nothing where it has one instance, or does not say."""
    if instances_of(record) == 1:
        return ""
    try:
        with _monitored(place, stack, str(record["name"])) as redis:
            return _own_address(redis)
    except (KeelsonError, OSError, RefusedError):
        return ""


def _hosts(record: Mapping[str, Any], count: int) -> list[str]:
    return [f"{record['host']}-{number}" for number in range(count)]


@contextmanager
def _monitored(place: Target, stack: str, name: str) -> Iterator[Conversation]:
    address = place.locate(stack, name)
    with conversation(address, "monitor", place.password(stack, name, "monitor"), SECONDS) as redis:
        yield redis


def _own_address(redis: Conversation) -> str:
    """Return by which address the others know an instance."""
    found = redis.ask("CONFIG", "GET", "replica-announce-ip")
    return str(found[1]) if isinstance(found, list) and len(found) > 1 else ""


def _following(redis: Conversation) -> set[str]:
    """Return the addresses of the replicas that have been heard of a moment ago."""
    lines = (
        dict(word.split("=", 1) for word in text.split(","))
        for name, text in redis.info("replication").items()
        if _REPLICA.fullmatch(name)
    )
    return {of["ip"] for of in lines if of["state"] == "online" and int(of["lag"]) <= LAG}


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
    try:
        with conversation(address, "admin", password, SECONDS) as redis:
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
