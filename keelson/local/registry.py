"""What a stack has on this machine: its servers with their ports, and its passwords.

Files in the stack's state directory, mode 0600: `stack.json` (whose it is, and its servers) and `secrets.json`
(`<server>/<role>` → password). Each is replaced in one step, under one lock.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from keelson import paths
from keelson.errors import OwnershipError, PlatformError, ServerError, SettingsError
from keelson.local.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # URL-safe, none of 0 O 1 l I
LENGTH = 32  # 186 bits
LOOPBACK = "127.0.0.1"
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Stack:
    """Whose directory this is."""

    key: str
    stack_id: str
    environment: str = ""


@dataclass(frozen=True)
class ServerRecord:
    """One server as it was last set up; `fixed_port` is the port that the settings demand, if any."""

    name: str
    port: int
    data_directory: str = ""
    host: str = LOOPBACK
    readonly_host: str = ""  # where its replicas answer, if it has any
    pooler_host: str = ""  # where its pooler does, if it has one
    version_label: str = ""
    fixed_port: int | None = None
    preferred_port: int = 5432
    avoid_ports: tuple[int, ...] = ()
    timescale: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)
    hba: tuple[str, ...] = ()
    certified: tuple[str, ...] = ()  # logins that show a certificate
    pgaudit: bool = False
    archiving: Mapping[str, Any] = field(default_factory=dict)  # empty where it keeps no archive
    origin: str = ""  # the server that it shows as that was at a moment


@dataclass(frozen=True)
class DaemonRecord:
    """A Redis, pgAdmin or agent as it was last set up; `settings` are what its kind knows of."""

    name: str
    kind: str
    port: int
    host: str = LOOPBACK
    fixed_port: int | None = None
    preferred_port: int = 0
    avoid_ports: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def encrypted(self) -> bool:
        """Whether connections to it are, and it has a certificate."""
        return self.kind == "redis" and bool(self.settings.get("tls"))


@dataclass(frozen=True)
class Registry:
    """The registry of one stack key."""

    key: str

    @property
    def directory(self) -> Path:
        """The stack's state directory."""
        return directory(self.key)

    def claim(self, stack_id: str, *, environment: str = "") -> Stack:
        """Make the registry, or check that it belongs to `stack_id`; an empty environment keeps what stands there.

        Raises:
            OwnershipError: the registry belongs to another stack id.
        """
        with self._lock():
            document = self._document()
            mine = Stack(self.key, stack_id, environment)
            if (old := _stack(document)) is not None:
                self._check(old, stack_id)
                mine = replace(old, **{name: value for name, value in asdict(mine).items() if value})
            if mine != old:
                self._write({**document, **asdict(mine)})
            return mine

    def stack(self) -> Stack | None:
        """Return whose registry this is; None if there is none."""
        return _stack(self._document())

    def servers(self) -> dict[str, ServerRecord]:
        """Return the stack's servers by name."""
        return {name: _record(values) for name, values in self._document().get("servers", {}).items()}

    def server(self, name: str) -> ServerRecord | None:
        """Return one server, None if it is not known."""
        return self.servers().get(name)

    def record(self, stack_id: str, server: ServerRecord) -> None:
        """Write down a server.

        Raises:
            OwnershipError: the registry belongs to another stack id.
        """
        self._record(stack_id, "servers", server)

    def daemons(self) -> dict[str, DaemonRecord]:
        """Return what the stack has beside its servers, by name."""
        return {name: _daemon(values) for name, values in self._document().get("daemons", {}).items()}

    def encrypted(self) -> list[str]:
        """Return what has a certificate: the servers, and each Redis that speaks TLS."""
        return [*self.servers(), *(name for name, each in self.daemons().items() if each.encrypted)]

    def daemon(self, name: str) -> DaemonRecord | None:
        """Return one daemon, None if it is not known."""
        return self.daemons().get(name)

    def ports(self) -> dict[str, int]:
        """Return the port of each server and daemon."""
        document = self._document()
        parts = {**document.get("servers", {}), **document.get("daemons", {})}
        return {name: int(values["port"]) for name, values in parts.items()}

    def record_daemon(self, stack_id: str, daemon: DaemonRecord) -> None:
        """Write down a daemon.

        Raises:
            OwnershipError: the registry belongs to another stack id.
        """
        self._record(stack_id, "daemons", daemon)

    def forget(self, name: str) -> None:
        """Strike a server or daemon out; its passwords stay until `forget_passwords`."""
        with self._lock():
            document = self._document()
            found = [document.get(kind, {}).pop(name, None) for kind in ("servers", "daemons")]
            if any(found):
                self._write(document)

    def password(self, server: str, role: str) -> str:
        """Return a password.

        Raises:
            ServerError: there is none.
        """
        try:
            return str(self._secrets()[f"{server}/{role}"])
        except KeyError:
            msg = f"{self.key} has no password for {role} on server {server}; run `keelson up`"
            raise ServerError(msg) from None

    def has_password(self, server: str, role: str) -> bool:
        """Return whether a password is known."""
        return f"{server}/{role}" in self._secrets()

    def ensure_password(self, server: str, role: str) -> str:
        """Return a password, made up first where there is none."""
        with self._lock():
            known = self._secrets()
            name = f"{server}/{role}"
            if name not in known:
                known[name] = new_password()
                self._write_secrets(known)
            return str(known[name])

    def set_password(self, server: str, role: str, password: str) -> None:
        """Keep a password that was chosen elsewhere."""
        with self._lock():
            self._write_secrets({**self._secrets(), f"{server}/{role}": password})

    def forget_passwords(self, server: str) -> None:
        """Drop all passwords of a server, and the keys of its logins."""
        with self._lock():
            known = self._secrets()
            kept = {name: value for name, value in known.items() if not name.startswith(f"{server}/")}
            if kept != known:
                self._write_secrets(kept)
        shutil.rmtree(self.directory / "tls" / "clients" / server, ignore_errors=True)  # what its logins show

    def _record(self, stack_id: str, table: str, entry: ServerRecord | DaemonRecord) -> None:
        self.claim(stack_id)
        with self._lock():
            document = self._document()
            entries = {**document.get(table, {}), entry.name: asdict(entry)}
            if entries != document.get(table):
                self._write({**document, table: entries})

    def _check(self, old: Stack, stack_id: str) -> None:
        if old.stack_id != stack_id:
            msg = (
                f"{self.directory} belongs to another stack of the name {self.key} (id {old.stack_id}, "
                f"not {stack_id}); destroy that one, or give this stack another name"
            )
            raise OwnershipError(msg)

    def _lock(self) -> AbstractContextManager[None]:
        return exclusive(self.directory / "registry.lock")

    def _document(self) -> dict[str, Any]:
        return _read(self.directory / "stack.json")

    def _write(self, document: dict[str, Any]) -> None:
        paths.write_private(self.directory / "stack.json", json.dumps(document, indent=2) + "\n")

    def _secrets(self) -> dict[str, Any]:
        return _read(self.directory / "secrets.json")

    def _write_secrets(self, known: dict[str, Any]) -> None:
        paths.write_private(self.directory / "secrets.json", json.dumps(known, indent=2) + "\n")


def directory(key: str) -> Path:
    """Return the state directory of a stack, which need not exist.

    Raises:
        SettingsError: the key cannot name a directory.
    """
    if not KEY.fullmatch(key):
        msg = (
            f"the stack key {key!r} cannot name a directory; use letters, digits, '.', '_' and '-' in project and stack"
        )
        raise SettingsError(msg)
    return paths.state() / "stacks" / key


def every() -> list[Registry]:
    """Return the registries of all stacks of this user."""
    return [Registry(file.parent.name) for file in sorted((paths.state() / "stacks").glob("*/stack.json"))]


def new_password() -> str:
    """Return a random password that needs no quoting in a URL, a shell or a file."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as fault:
        msg = f"cannot read {path}: {fault}; restore it from a backup, or destroy the stack"
        raise PlatformError(msg) from None
    if not isinstance(document, dict):
        msg = f"{path} holds no JSON object; restore it from a backup, or destroy the stack"
        raise PlatformError(msg)
    return document


def _stack(document: dict[str, Any]) -> Stack | None:
    if "stack_id" not in document:
        return None
    return Stack(**{name: document.get(name, "") for name in Stack.__dataclass_fields__})


def _record(values: dict[str, Any]) -> ServerRecord:
    return ServerRecord(**_known(ServerRecord, values))


def _daemon(values: dict[str, Any]) -> DaemonRecord:
    return DaemonRecord(**_known(DaemonRecord, values))


def _known(kind: type[ServerRecord | DaemonRecord], values: dict[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in values.items() if name in kind.__dataclass_fields__}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
