"""What was altered by hand of a stack's roles, grants and bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from keelson.cli.context import Context
from keelson.endpoint import resolve
from keelson.errors import UnreachableError
from keelson.postgres import standing
from keelson.postgres.bounds import Bounds
from keelson.postgres.roles import UNLIMITED, ExtraLogin
from keelson.postgres.standing import Wanted
from keelson.settings.roles import bounds_of

PATIENCE = 2.0  # s that a server may need to answer
ROLES, ACCESS = "dynamic/keelson:Roles::{}-roles", "dynamic/keelson:Access::{}-access"

ByServer = Mapping[str, Sequence[Wanted]]


def altered(chosen: Context) -> tuple[str, ...]:
    """Return the roles and databases that are otherwise than the last update left them, on the servers that answer.

    The state is asked only where they are otherwise than the settings say: the settings may have been edited since.
    """
    wanted = _by_settings(chosen)
    if not _altered(chosen, wanted):
        return ()
    return _altered(chosen, _by_state(chosen.engine.resources(), wanted))


def _altered(chosen: Context, services: ByServer) -> tuple[str, ...]:
    return tuple(name for server, some in services.items() for name in _altered_on(chosen, server, some))


def _altered_on(chosen: Context, server: str, services: Sequence[Wanted]) -> tuple[str, ...]:
    try:
        with resolve(chosen.administrator(server)).connect("keelson up", patience=PATIENCE) as admin:
            return standing.altered(admin, services)
    except UnreachableError:
        return ()


def _by_settings(chosen: Context) -> dict[str, list[Wanted]]:
    found: dict[str, list[Wanted]] = {}
    for name, definition in chosen.stack.databases.items():
        logins = {role: ExtraLogin(**rights) for role, rights in definition.rights.items()}
        found.setdefault(definition.server, []).append(Wanted(name, logins, bounds_of(chosen.stack, name)))
    return found


def _by_state(resources: Iterable[Mapping[str, Any]], services: ByServer) -> dict[str, list[Wanted]]:
    """Return what the last update made of the services; one that it has not seen is left out."""
    inputs = {resource["urn"].rpartition("$")[2]: resource.get("inputs", {}) for resource in resources}
    pulumi = "pulumi-python:"
    return {
        server: [
            _from_inputs(each.service, inputs[f"{pulumi}{roles}"], inputs[f"{pulumi}{access}"])
            for each in some
            if (roles := ROLES.format(each.service))
            and (access := ACCESS.format(each.service))
            and {f"{pulumi}{roles}", f"{pulumi}{access}"} <= inputs.keys()
        ]
        for server, some in services.items()
    }


def _from_inputs(service: str, roles: Mapping[str, Any], access: Mapping[str, Any]) -> Wanted:
    logins = {
        name: ExtraLogin(
            tuple(login.get("privileges", ())),
            tuple(login.get("schemas", ())),
            login.get("inherits"),
            member_of=tuple(login.get("member_of", ())),
            is_group=bool(login.get("is_group")),
        )
        for name, login in roles.get("logins", {}).items()
    }
    known = {field.name for field in fields(Bounds)}
    bounds = {
        login: Bounds(**{name: _plain(value) for name, value in given.items() if name in known})
        for login, given in access.get("bounds", {}).items()
    }
    return Wanted(service, logins, bounds, int(roles.get("connection_limit", UNLIMITED)))


def _plain(value: Any) -> Any:  # noqa: ANN401 - the state's JSON
    return tuple(value) if isinstance(value, list) else int(value) if isinstance(value, float) else value
