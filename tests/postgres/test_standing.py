"""Whether roles stand as they should, asked of a whole server at once."""

from __future__ import annotations

import time
from dataclasses import replace

import psycopg
import pytest

from keelson.postgres.bounds import Bounds
from keelson.postgres.databases import open_access
from keelson.postgres.roles import drop_roles
from keelson.postgres.standing import Wanted, altered
from tests.services import Service

MANY = 63  # services, of eight roles each


def wanted_of(service: Service) -> Wanted:
    return Wanted(service.name, {}, dict.fromkeys(service.roles.logins, Bounds(7, ("public",), "1s", "1s", "1s")))


def bring(service: Service) -> None:
    wanted = wanted_of(service)
    service.ensure_roles(limits=wanted.limits)
    service.ensure_database()
    with service.as_admin() as admin:
        open_access(admin, service.name, bounds=wanted.bounds)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("ALTER ROLE {app} CONNECTION LIMIT 9", "{app}"),
        ("ALTER ROLE {app} CREATEDB", "{app}"),
        ("GRANT {owner} TO {app}", "{app}"),
        ("REVOKE {group} FROM {app}", "{app}"),
        ("DROP ROLE {app}", "{app}"),
        ("ALTER ROLE {app} IN DATABASE {name} SET statement_timeout = '2s'", "{app}"),
        ("GRANT CONNECT ON DATABASE {name} TO PUBLIC", "{name}"),
        ("REVOKE CONNECT ON DATABASE {name} FROM {group}", "{app}"),
    ],
)
def test_what_somebody_altered_is_named(service: Service, admin: psycopg.Connection, change: str, named: str) -> None:
    bring(service)
    assert altered(admin, [wanted_of(service)]) == ()
    names = {"app": service.roles.app_a, "group": service.roles.app, "owner": service.roles.owner, "name": service.name}
    admin.execute(change.format(**names))
    assert named.format(**names) in altered(admin, [wanted_of(service)])
    bring(service)
    assert altered(admin, [wanted_of(service)]) == ()


def test_a_service_that_is_not_there_yet_is_not_altered(service: Service, admin: psycopg.Connection) -> None:
    assert altered(admin, [wanted_of(service)]) == ()
    service.ensure_roles()
    assert altered(admin, [wanted_of(service)]) == ()


def test_five_hundred_roles_are_looked_at_within_two_seconds(service: Service, admin: psycopg.Connection) -> None:
    many = [replace(service, name=f"{service.name}_{number}") for number in range(MANY)]
    try:
        for one in many:
            one.ensure_roles(limits=wanted_of(one).limits)
            admin.execute(f"CREATE DATABASE {one.name} OWNER {one.roles.owner} STRATEGY file_copy")
            admin.execute(f"REVOKE ALL ON DATABASE {one.name} FROM PUBLIC")
        began = time.monotonic()
        found = altered(admin, [wanted_of(one) for one in many])
        assert time.monotonic() - began < 2
        assert len(found) == MANY * 5, "no login begins as it should yet, and no group is altered"
    finally:
        for one in many:
            admin.execute(f"DROP DATABASE IF EXISTS {one.name} WITH (FORCE)")
            drop_roles(admin, one.stack_id, one.name)
