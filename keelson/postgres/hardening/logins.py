"""Checks of roles: what they are told from passwords, what they may, and how long they last."""

from __future__ import annotations

from collections.abc import Iterator

from keelson.postgres.hardening.facts import Facts, Role
from keelson.postgres.hardening.model import Judgement, bad, good, judged, unjudged
from keelson.postgres.names import RoleNames
from keelson.wording import counted

UNLIMITED = -1
READS_ALL = "pg_read_all_data"  # which backups need, with BYPASSRLS
OVER_ALL = frozenset(
    {"pg_read_server_files", "pg_write_server_files", "pg_execute_server_program", "pg_write_all_data", READS_ALL}
)
TIMEOUTS = ("lock_timeout", "idle_in_transaction_session_timeout")
LENGTHS = ("statement_timeout", "transaction_timeout", "idle_session_timeout")  # of which one ends a session's work
_NONE = {"", "0"}


def password_encryption(facts: Facts) -> Judgement:
    """New passwords are stored as SCRAM verifiers."""
    places = {"the server": facts.settings["password_encryption"]} | {
        role or database: value
        for (database, role, name), value in facts.role_settings.items()
        if name == "password_encryption"
    }
    weak = (f"password_encryption of {place} is {value}" for place, value in places.items() if value != "scram-sha-256")
    return judged(weak, "scram-sha-256")


def stored_passwords(facts: Facts) -> Judgement:
    """No role has an older kind of password."""
    weak = (
        f"the password of {role.name} is no SCRAM verifier" for role in facts.roles.values() if role.verifier == "weak"
    )
    kept = sum(role.verifier == "scram" for role in facts.roles.values())
    return judged(weak, f"{kept} passwords, all SCRAM verifiers")


def superusers(facts: Facts) -> Judgement:
    """Nobody is a superuser but the one that initdb made."""
    found = [role for role in facts.roles.values() if role.superuser]
    faults = (f"{role.name} is a superuser" for role in found if not role.is_first)
    return judged(faults, ", ".join(role.name for role in found))


def connection_limits(facts: Facts) -> Judgement:
    """Each login may have so many connections, and no more."""
    operators = facts.expected.operators or ()
    logins = [role for role in facts.let_in if not role.replicates_only and role.name not in operators]
    unlimited = (f"{role.name} may take every connection" for role in logins if role.limit == UNLIMITED)
    return judged(unlimited, f"{counted(len(logins), 'login')}, each with a limit")


def attributes(facts: Facts) -> Judgement:
    """No role may make roles or databases, replicate, or look past row-level security, but those that should."""
    found = (role for role in facts.roles.values() if not role.superuser)
    faults = [f"{role.name} has {powers}" for role in found if (powers := " and ".join(_powers(facts, role)))]
    allowed = sorted(facts.expected.operators or ())
    return judged(faults, f"none but {', '.join(allowed)}" if allowed else "none")


def timeouts(facts: Facts) -> Judgement:
    """Nothing that a login does lasts for ever."""
    faults = [
        f"{role.name} has no {missing} in {database}"
        for role in facts.let_in
        if not role.replicates_only and role.name not in facts.caretakers
        for database in facts.services
        if role.name in facts.services[database].clients
        if (missing := " and no ".join(_missing(facts, role.name, database)))
    ]
    return judged(faults, "each login waits for locks, works and rests in a transaction for so long, and no longer")


def replication(facts: Facts) -> Judgement:
    """Who replicates from another machine does nothing else."""
    roles = facts.roles
    faults = [
        f"{name or 'a replica'} at {address} replicates as {user}, which may do more"
        for user, name, address in facts.replicas
        if user not in roles or not roles[user].replicates_only
    ]
    faults += [
        f"{role.name} may replicate, and do more"
        for role in facts.logins
        if role.replication and not role.replicates_only
    ]
    return judged(faults, f"{len(facts.replicas)} replicas" if facts.replicas else "nobody replicates from elsewhere")


def languages(facts: Facts) -> Judgement:
    """Nobody but a superuser reaches files and programs of the server, or rows of everybody."""
    faults = [fault for found in facts.inside.values() for fault in found["languages"]]
    faults += [
        f"{role.name} is a member of {name}"
        for role in facts.roles.values()
        if not role.superuser
        for name in sorted(OVER_ALL & set(role.belongs_to))
        if not (name == READS_ALL and role.name in facts.caretakers)
    ]
    return judged(faults, "none")


def unused_logins(facts: Facts) -> Judgement:
    """Each login belongs to somebody, or ends."""
    known = facts.owned.keys() | (facts.expected.logins or frozenset()) | (facts.expected.operators or frozenset())
    foreign = [role for role in facts.logins if role.name not in known and not role.ends]
    if facts.expected.logins is not None or facts.owned:
        return judged((f"{role.name} is nobody's, and never ends" for role in foreign), "each is somebody's")
    shut_out = [
        role.name for role in foreign if not any(role.name in found.clients for found in facts.services.values())
    ]
    if shut_out:
        return bad(*(f"{name} may connect to no database, and never ends" for name in shut_out))
    if foreign:
        names = ", ".join(role.name for role in foreign)
        return unjudged(f"PostgreSQL does not note who logs in, and nothing here says whose these are: {names}")
    return good("each ends")


def _powers(facts: Facts, role: Role) -> Iterator[str]:
    if role.createrole:
        yield "CREATEROLE"
    if role.createdb:
        yield "CREATEDB"
    if role.bypassrls and role.name not in facts.caretakers:
        yield "BYPASSRLS"
    allowed = facts.expected.operators
    if role.replication and not (role.replicates_only if allowed is None else role.name in allowed):
        yield "REPLICATION"


def _missing(facts: Facts, role: str, database: str) -> Iterator[str]:
    for name in TIMEOUTS:
        if _is_none(facts.effective(name, role, database)):
            yield name
    migrates = role == RoleNames(database).migrator  # whose statements take as long as the data are large
    if not migrates and all(_is_none(facts.effective(name, role, database)) for name in LENGTHS):
        yield "statement_timeout"


def _is_none(value: str) -> bool:
    return value.strip().rstrip("smindhu ") in _NONE
