"""Names of services and logins, and the roles that follow from a service's name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from keelson.errors import IdentifierError

LONGEST_SERVICE = 40  # leaves room for the longest role suffix in PostgreSQL's 63 bytes
LONGEST_ROLE = 63
BACKUP = "backup"  # the login that backups are made as, one on each server
TAKEN = frozenset({"postgres", "template0", "template1", "public", "none"})
ROLE_SUFFIXES = ("owner", "migrator", "app", "readonly", "app_a", "app_b", "readonly_a", "readonly_b")

_SHAPE = re.compile(r"[a-z][a-z0-9_]*")

# Reserved and type_func_name keywords of PostgreSQL 18's grammar: none of them names a database without quotes.
RESERVED_WORDS = frozenset(
    """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
    column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze
    from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit
    localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references
    returning right select session_user similar some symmetric system_user table tablesample then to trailing true union
    unique user using variadic verbose when where window with
    """.split()  # noqa: SIM905 - a hundred quotes less
)


@dataclass(frozen=True, slots=True)
class RoleNames:
    """The roles of one service's database, by what each is for."""

    service: str

    @property
    def owner(self) -> str:
        """Owns the database and all in it; no login."""
        return f"{self.service}_owner"

    @property
    def migrator(self) -> str:
        """Logs in to run migrations and seeds, as the owner."""
        return f"{self.service}_migrator"

    @property
    def app(self) -> str:
        """Holds the application's grants; no login."""
        return f"{self.service}_app"

    @property
    def readonly(self) -> str:
        """Holds the readers' grants; no login."""
        return f"{self.service}_readonly"

    @property
    def app_a(self) -> str:
        """First login of the application; two, so that a password changes without a gap."""
        return f"{self.service}_app_a"

    @property
    def app_b(self) -> str:
        """Second login of the application."""
        return f"{self.service}_app_b"

    @property
    def readonly_a(self) -> str:
        """First login of the readers."""
        return f"{self.service}_readonly_a"

    @property
    def readonly_b(self) -> str:
        """Second login of the readers."""
        return f"{self.service}_readonly_b"

    @property
    def groups(self) -> tuple[str, str, str]:
        """The roles without a login."""
        return (self.owner, self.app, self.readonly)

    @property
    def logins(self) -> tuple[str, str, str, str, str]:
        """The roles that log in, each with a password of its own."""
        return (self.migrator, self.app_a, self.app_b, self.readonly_a, self.readonly_b)


def validate_service_name(name: str) -> None:
    """Check that `name` can name a database and, with a suffix, its roles.

    Raises:
        IdentifierError: it cannot; the sentence names the rule.
    """
    _validate(name, "service's", LONGEST_SERVICE)


def validate_copy_name(name: str) -> None:
    """Check that `name` can name a database that is a copy of a service's.

    Raises:
        IdentifierError: it cannot; the sentence names the rule.
    """
    _validate(name, "copy's", LONGEST_ROLE)


def validate_login_name(name: str, service: str) -> None:
    """Check that `name` can name a further login of `service`.

    Raises:
        IdentifierError: it cannot, or it is one of the service's own roles.
    """
    _validate(name, "login's", LONGEST_ROLE)
    if name in {f"{service}_{suffix}" for suffix in ROLE_SUFFIXES}:
        msg = f"the login's name {name!r} is a role that Keelson makes for {service!r} itself; choose another"
        raise IdentifierError(msg)


def _validate(name: str, whose: str, longest: int) -> None:
    fault = _fault(name, longest)
    if fault:
        msg = f"the {whose} name {name!r} is not allowed: {fault}; choose another"
        raise IdentifierError(msg)


def _fault(name: str, longest: int) -> str:
    if not _SHAPE.fullmatch(name):
        return "it must start with a letter a-z and go on with a-z, 0-9 and _"
    if len(name) > longest:
        return f"it has {len(name)} characters, and {longest} is the most"
    if name in TAKEN:
        return "PostgreSQL uses it itself"
    if name.startswith("pg_"):
        return "names that start with pg_ belong to PostgreSQL"
    if name in RESERVED_WORDS:
        return "it is a reserved word of SQL"
    return ""
