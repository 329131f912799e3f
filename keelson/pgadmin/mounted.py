"""Login and list from variables and mounted files, as the official image has them.

| variable | holds |
|---|---|
| PGADMIN_DEFAULT_EMAIL | the administrator's address |
| PGADMIN_DEFAULT_PASSWORD, or PGADMIN_DEFAULT_PASSWORD_FILE | the password, or the file that holds it |
| PGADMIN_SERVER_JSON_FILE | the list; /pgadmin4/servers.json by default |
| PGPASS_FILE, or libpq's PGPASSFILE | the passwords of the list's roles, as libpq has them |
| PGSSLROOTCERT | the certificate that the servers' own are checked with |
| PGADMIN_LISTEN_ADDRESS, PGADMIN_LISTEN_PORT | where it listens: 0.0.0.0 and 80 by default |
| KEELSON_OIDC_FILE | how one logs in by OpenID Connect |
| PGADMIN_CONFIG_<NAME> | a value of pgAdmin's configuration, as Python writes it |

Other than there, the files are followed while it runs, and what was added by hand stays at every start; so
PGADMIN_REPLACE_SERVERS_ON_STARTUP changes nothing, nor does PGADMIN_DISABLE_POSTFIX: there is no mail server.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keelson.errors import KeelsonError
from keelson.pgadmin.wanted import MAINTENANCE_DATABASE, Entry, Wanted, state, text

DIRECTORY = Path("/var/lib/pgadmin")
LIST = "/pgadmin4/servers.json"
ADDRESS, PORT = "0.0.0.0", 80  # noqa: S104  # inside a container, whose networks decide who reaches it
CONFIGURATION = "PGADMIN_CONFIG_"
_LOGIN = "PGADMIN_DEFAULT_EMAIL"
_PASSWORD = "PGADMIN_DEFAULT_PASSWORD"  # noqa: S105  # a variable's name
_FIELD = re.compile(r"((?:\\.|[^:\\])*)(?::|$)")  # of a line of passwords
_FIELDS = 5  # host, port, database, role, password

Line = Sequence[str]


@dataclass(frozen=True)
class MountedSource:
    """The variables of a container; see `Source` for what each method is for."""

    variables: Mapping[str, str]

    def read(self) -> Wanted:
        """Return what variables and files say now.

        Raises:
            KeelsonError: a variable or a file is missing or wrong.
        """
        lines = _lines(text(self._passwords)) if self._passwords else []
        return Wanted(
            email=self._required(_LOGIN),
            password=self._password(),
            root_certificate=text(self._authority) if self._authority else "",
            entries=tuple(_entry(values, lines) for values in self._list()),
        )

    def fingerprint(self) -> object:
        """Return what differs as soon as one of the files was replaced."""
        files = (self._servers, self._passwords, self._authority, self._login, self._oidc)
        return tuple(state(path) for path in files if path)

    def sign_on(self) -> Mapping[str, Any] | None:
        """Return how one logs in by OpenID Connect; None where nobody does."""
        if (file := self._oidc) is None:
            return None
        try:
            found: Mapping[str, Any] = json.loads(text(file))
        except ValueError:  # whose text may show what stands there
            msg = f"{file}, which KEELSON_OIDC_FILE names, cannot be read; run `keelson up -- --refresh`"
            raise KeelsonError(msg) from None
        return found

    def address(self) -> tuple[str, int]:
        """Return where pgAdmin should listen."""
        port = self.variables.get("PGADMIN_LISTEN_PORT") or str(PORT)
        if not port.isdecimal():
            msg = f"PGADMIN_LISTEN_PORT is {port!r}; set a port's number"
            raise KeelsonError(msg)
        return self.variables.get("PGADMIN_LISTEN_ADDRESS") or ADDRESS, int(port)

    def configuration(self) -> dict[str, object]:
        """Return what the variables say of pgAdmin's configuration."""
        return {
            name.removeprefix(CONFIGURATION): _value(name, value)
            for name, value in self.variables.items()
            if name.startswith(CONFIGURATION)
        }

    @property
    def _servers(self) -> Path:
        return Path(self.variables.get("PGADMIN_SERVER_JSON_FILE") or LIST)

    @property
    def _passwords(self) -> Path | None:
        return self._file("PGPASS_FILE") or self._file("PGPASSFILE")

    @property
    def _authority(self) -> Path | None:
        return self._file("PGSSLROOTCERT")

    @property
    def _login(self) -> Path | None:
        return self._file(f"{_PASSWORD}_FILE")

    @property
    def _oidc(self) -> Path | None:
        return self._file("KEELSON_OIDC_FILE")

    def _file(self, variable: str) -> Path | None:
        return Path(value) if (value := self.variables.get(variable)) else None

    def _required(self, variable: str) -> str:
        if value := self.variables.get(variable, ""):
            return value
        msg = f"pgAdmin has no administrator; set {_LOGIN}, and {_PASSWORD}_FILE or {_PASSWORD}"
        raise KeelsonError(msg)

    def _password(self) -> str:
        if self._login is None:
            return self._required(_PASSWORD)
        try:
            found = self._login.read_text(encoding="utf-8").removesuffix("\n")
        except OSError as fault:
            msg = f"cannot read {self._login}, which {_PASSWORD}_FILE names: {fault.strerror}; mount it so that pgAdmin's user may read it"
            raise KeelsonError(msg) from None
        if not found:
            msg = f"{self._login}, which {_PASSWORD}_FILE names, is empty; write the password into it"
            raise KeelsonError(msg)
        return found

    def _list(self) -> list[dict[str, object]]:
        written = text(self._servers)
        try:
            return [_checked(values) for values in json.loads(written)["Servers"].values()] if written else []
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            msg = f"{self._servers} is no list of servers ({fault}); write it as pgAdmin exports one"
            raise KeelsonError(msg) from None


def _checked(values: dict[str, object]) -> dict[str, object]:
    for name in ("Name", "Group", "Host", "Port", "Username"):
        if not values[name]:
            raise KeyError(name)
    return values | {"Port": int(str(values["Port"]))}


def _entry(values: Mapping[str, object], lines: Sequence[Line]) -> Entry:
    host, port, role = str(values["Host"]), int(str(values["Port"])), str(values["Username"])
    database = str(values.get("DBRestriction") or "")
    parameters = values.get("ConnectionParameters")
    encryption = (parameters.get("sslmode") if isinstance(parameters, dict) else None) or values.get("SSLMode")
    return Entry(
        group=str(values["Group"]),
        name=str(values["Name"]),
        server=f"{host}:{port}",
        role=role,
        database=database,
        port=port,
        password=_password_of((host, str(port), database or MAINTENANCE_DATABASE, role), lines),
        host=host,
        encryption=str(encryption or "prefer"),
    )


def _password_of(wanted: Line, lines: Sequence[Line]) -> str:
    for *fields, password in lines:
        if all(given in {"*", value} for given, value in zip(fields, wanted, strict=True)):
            return password
    return ""


def _lines(written: str) -> list[Line]:
    found = [_FIELD.findall(line)[:_FIELDS] for line in written.splitlines() if line and not line.startswith("#")]
    return [[re.sub(r"\\(.)", r"\1", value) for value in line] for line in found if len(line) == _FIELDS]


def _value(name: str, written: str) -> object:
    try:
        return ast.literal_eval(written)
    except (ValueError, SyntaxError):
        msg = f"{name} is {written!r}, which is no value as Python writes it; put quotes around a text"
        raise KeelsonError(msg) from None
