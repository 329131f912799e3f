"""Whether the servers of a stack are as safe as they should be: what the settings say of each, beside what it tells itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from keelson import paths
from keelson.endpoint import ADMINISTRATOR, Reference, resolve
from keelson.errors import UnreachableError
from keelson.postgres.databases import ALWAYS
from keelson.postgres.hardening.examining import examine
from keelson.postgres.hardening.model import Expected, Finding, Judgement, Wanted, bad, good, judged, unjudged
from keelson.postgres.monitor import MONITOR
from keelson.postgres.names import RoleNames
from keelson.settings.stack import Stack
from keelson.status.backups import Backups
from keelson.target import target

LANGUAGE = "plpgsql"  # which every database has
OPERATORS = frozenset(
    {"streaming_replica", "cnpg_pooler_pgbouncer", "cnpg_metrics_exporter"}
)  # CloudNativePG's own logins


def harden(stack: Stack, server: str, skipped: Collection[str] = ()) -> tuple[Finding, ...]:
    """Return what each check finds on a server of the stack; raises UnreachableError."""
    reference = Reference(stack=stack.key, target=stack.settings.place, server=server)
    with resolve(reference).connect("keelson harden") as admin:
        return examine(admin, expected_of(stack, server), skipped)


def expected_of(stack: Stack, server: str) -> Expected:
    """Return what the settings say of a server."""
    settings = stack.settings
    logins = frozenset(_logins(stack, server))
    return Expected(
        databases={name: _wanted(stack, name) for name in _databases(stack, server)},
        logins=logins,
        operators=OPERATORS if settings.instances_of(server) > 1 else frozenset(),
        behind_a_network=settings.target != "local",
        passwords=frozenset(_passwords(stack, server, logins | {ADMINISTRATOR})),
        backups=lambda: _backups(stack, server),
        files=lambda: _files(stack),
    )


def _databases(stack: Stack, server: str) -> Iterator[str]:
    return (name for name, database in stack.databases.items() if database.server == server)


def _wanted(stack: Stack, name: str) -> Wanted:
    definition = stack.databases[name]
    own = ("timescaledb",) if stack.settings.servers[definition.server].timescaledb else ()
    return Wanted(RoleNames(name).owner, (LANGUAGE, *ALWAYS, *own, *definition.extensions))


def _logins(stack: Stack, server: str) -> Iterator[str]:
    for name in _databases(stack, server):
        yield from (*RoleNames(name).logins, *stack.databases[name].logins)


def _passwords(stack: Stack, server: str, roles: Collection[str]) -> Iterator[str]:
    place = target(stack.settings.place)
    for role in {*roles, MONITOR}:
        try:
            yield place.password(stack.key, server, role)
        except UnreachableError:  # it has none: nobody watches the server, or its service is not made yet
            continue


def _backups(stack: Stack, server: str) -> Judgement:
    kept, now = Backups(stack), datetime.now(UTC)
    if not (stack.settings.agent.enabled or stack.settings.target == "kubernetes"):
        return bad("the stack has no agent, so nothing makes backups")
    states = {name: kept.of(name, now) for name in _databases(stack, server)}
    faults = [each.fault for each in states.values() if each.fault]
    faults += [f"nothing makes backups of {name}" for name, each in states.items() if not (each.due or each.fault)]
    waiting = [name for name, each in states.items() if each.last is None]
    first = f"; the first of {', '.join(waiting)} is not due yet" if waiting else ""
    return judged([*kept.faults, *faults], f"{len(states)} databases, each in time{first}")


def _files(stack: Stack) -> Judgement:
    settings = stack.settings
    if settings.target == "kubernetes":
        return _secrets(settings.place)
    data = [found.data_directory or paths.data() / "stacks" / stack.key for found in settings.servers.values()]
    found = target(settings.place).disks(stack.key, settings.backup.directory, data)
    return (
        bad(f"{found.readable} can be read by others")
        if found.readable
        else good(f"only its user reads {found.private}")
    )


def _secrets(place: str) -> Judgement:
    """Return whether a cluster keeps passwords to those who were granted them: its nodes' files are not seen."""
    from keelson.kubernetes import cluster, secrecy  # noqa: PLC0415 - for who has a cluster
    from keelson.kubernetes.faults import ForbiddenError  # noqa: PLC0415

    found = cluster.connect(place)
    try:
        faults = secrecy.open_to(found)
    except ForbiddenError:
        return unjudged(
            f"who may read the Secrets of the namespace {found.namespace} is told to those alone who may create localsubjectaccessreviews there"
        )
    what = f"who reads Secrets or enters pods of the namespace {found.namespace} was granted it by name"
    return judged(faults, f"{what}; modes of files on volumes and nodes are not seen, but for the data directory's")
