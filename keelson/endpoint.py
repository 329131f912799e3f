"""From a reference to a live connection.

A reference names a database by what the settings say (stack, target, server, database, role). Host, port and password
are looked up at the moment of use, so that a restarted server or a rotated password makes nothing stale.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlencode

from keelson.target import Address, ClientCertificate, target

if TYPE_CHECKING:
    import psycopg

ADMINISTRATOR = "postgres"
MAINTENANCE_DATABASE = "postgres"
STARTING = 20.0  # seconds that a server may need until it answers

Form = Literal["plain", "asyncpg", "sqlalchemy", "jdbc"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What names a database connection before anything runs; all fields are plain inputs."""

    stack: str
    target: str
    server: str
    database: str = MAINTENANCE_DATABASE
    role: str = ADMINISTRATOR

    def to(self, *, database: str | None = None, role: str | None = None) -> Reference:
        """Return the reference to another database or role of the same server."""
        return replace(self, database=database or self.database, role=role or self.role)

    def as_input(self) -> dict[str, str]:
        """Return the fields as a resource's input."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A database that can be connected to now."""

    address: Address
    database: str
    user: str
    password: str = field(repr=False)
    shown: ClientCertificate | None = None  # what the login shows beside its password, or in its place

    def connection_parameters(self) -> dict[str, str]:
        """Return the parameters by libpq's names."""
        return {
            "host": self.address.host,
            "port": str(self.address.port),
            "dbname": self.database,
            "user": self.user,
            "password": self.password,
        } | self._tls()

    def connect(self, application_name: str = "keelson", patience: float = STARTING) -> psycopg.Connection:
        """Open a connection in autocommit, waiting `patience` seconds for a server that starts; raises UnreachableError."""
        from keelson.postgres.connection import connect  # noqa: PLC0415 - slow, and who only names a database does without

        return connect(self.connection_parameters(), application_name=application_name, deadline=patience)

    def url(self, form: Form = "plain") -> str:
        """Return a URL for libpq and asyncpg ("plain", "asyncpg"), for SQLAlchemy on asyncpg, or for JDBC."""
        address = f"{self.address.host}:{self.address.port}/{quote(self.database)}"
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        tls = self._tls()
        if form == "jdbc":
            query = {"user": self.user, "password": self.password} | tls
            return f"jdbc:postgresql://{address}?{urlencode(query)}"
        if form == "sqlalchemy":  # hands unknown arguments to asyncpg.connect, which knows `ssl` but not `sslmode`
            return f"postgresql+asyncpg://{login}@{address}{_query({'ssl': 'require'} if tls else {})}"
        return f"postgresql://{login}@{address}{_query(tls)}"

    def variables(self) -> dict[str, str]:
        """Return the variables of a .env: URLs for the usual drivers, and libpq's own."""
        return {
            "DATABASE_URL": self.url(),
            "DATABASE_URL_ASYNCPG": self.url("asyncpg"),
            "DATABASE_URL_SQLALCHEMY": self.url("sqlalchemy"),
            "DATABASE_URL_JDBC": self.url("jdbc"),
        } | self.libpq_variables()

    def libpq_variables(self) -> dict[str, str]:
        """Return the variables that libpq reads."""
        names = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD"}
        names |= {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY"}
        return {names[key]: value for key, value in self.connection_parameters().items()}

    def _tls(self) -> dict[str, str]:
        own = {"sslcert": str(self.shown.certificate), "sslkey": str(self.shown.key)} if self.shown else {}
        if self.address.root_certificate is None:
            return {"sslmode": "require"} | own if self.address.encrypted else {}
        return {"sslmode": "verify-full", "sslrootcert": str(self.address.root_certificate)} | own


def _query(arguments: dict[str, str]) -> str:
    return f"?{urlencode(arguments)}" if arguments else ""


def resolve(reference: Reference) -> Endpoint:
    """Return the endpoint that `reference` names now.

    Raises:
        SettingsError: no such target.
        UnreachableError: the stack has no such server yet, or no such login.
    """
    return resolve_at(target(reference.target).locate(reference.stack, reference.server), reference)


def resolve_at(address: Address, reference: Reference) -> Endpoint:
    """Return the endpoint of `reference` at `address`; raises as `resolve` does."""
    place, who = target(reference.target), (reference.stack, reference.server, reference.role)
    return Endpoint(
        address=address,
        database=reference.database,
        user=reference.role,
        password=place.password(*who),
        shown=place.client_certificate(*who) if reference.role in address.certified else None,
    )
