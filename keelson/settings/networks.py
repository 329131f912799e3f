"""From which networks clients may come: words and addresses of the settings, and the lines of pg_hba.conf that follow from them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator

from keelson.postgres import admission
from keelson.postgres.admission import LOOPBACK, Admission, Proof
from keelson.postgres.names import RoleNames
from keelson.settings import client_certificates

if TYPE_CHECKING:
    from keelson.settings.database import DatabaseDefinition
    from keelson.settings.stack import Stack, StackSettings

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")  # RFC 1918, RFC 4193
WORDS = {"local": (), "private": PRIVATE, "any": ("all",)}  # beside the loopback, from where everybody may come


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _checked(networks: tuple[str, ...]) -> tuple[str, ...]:
    if not networks:
        msg = "it names no network; write `local` to let in nobody from elsewhere"
        raise ValueError(msg)
    for network in networks:
        if network in WORDS:
            continue
        try:
            ipaddress.ip_network(network)
        except ValueError as fault:
            msg = f"{network!r} is no network ({fault}); write local, private, any, or a network such as 10.20.0.0/16"
            raise ValueError(msg) from None
    return networks


Networks = Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_checked)]


def rules_of(stack: Stack, server: str) -> tuple[str, ...]:
    """Return who is let into a server from where, as lines of pg_hba.conf."""
    services = [
        each
        for name, definition in stack.databases.items()
        if definition.server == server
        for each in _admissions(stack.settings, name, definition)
    ]
    if stack.settings.target == "local":  # which listens on this machine alone
        return admission.rules("host", LOOPBACK[:1], [_here(each) for each in services])
    platform = _addresses((*(stack.settings.networks or ()), "private"))
    return admission.rules("hostssl", platform, services)


def _admissions(settings: StackSettings, service: str, definition: DatabaseDefinition) -> Iterator[Admission]:
    """Give a service's logins, those together that come from the same networks and prove in the same way who they are."""
    found: dict[tuple[tuple[str, ...], Proof | None], list[str]] = {}
    proofs = client_certificates.of_service(service, definition)
    for login, networks in _logins(settings, service, definition):
        found.setdefault((_addresses(networks), proofs.get(login)), []).append(login)
    yield from (Admission(service, tuple(logins), *places) for places, logins in found.items())


def _logins(
    settings: StackSettings, service: str, definition: DatabaseDefinition
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give each login with the networks that the settings say nearest to it."""
    roles = RoleNames(service)
    kinds = {
        "migrator": (roles.migrator,),
        "app": (roles.app_a, roles.app_b),
        "readonly": (roles.readonly_a, roles.readonly_b),
    }
    usual = settings.networks or ("private",)
    nearest = {
        kind: definition.bounds.of(kind).networks or definition.networks or settings.bounds.of(kind).networks or usual
        for kind in kinds
    }
    for kind, logins in kinds.items():
        yield from ((login, nearest[kind]) for login in logins)
    for name, login in definition.logins.items():
        yield name, login.bounds.networks or nearest[definition.kind_of(name)]


def _addresses(networks: tuple[str, ...]) -> tuple[str, ...]:
    if "any" in networks:
        return WORDS["any"]
    named = (address for network in networks for address in WORDS.get(network, (network,)))
    return tuple(dict.fromkeys((*LOOPBACK, *named)))


def _here(each: Admission) -> Admission:
    return replace(each, addresses=LOOPBACK[:1])
