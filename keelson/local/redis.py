"""A Redis as a daemon of this machine.

Its directory holds `redis.conf` and `users.acl`, written here, its certificate in `tls`, Redis's snapshot `dump.rdb` and its log of
changes in `appendonlydir`. Which of the two it starts from stands in `redis.conf`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from keelson import paths
from keelson.errors import ServerError
from keelson.local import authorities, marks, tls, volume
from keelson.local import root as private_root
from keelson.local.daemon import DaemonSpec
from keelson.local.registry import LOOPBACK, Registry
from keelson.local.root import DATA
from keelson.local.supervisor import Program
from keelson.redis import server
from keelson.redis.server import ACCESS_LIST, ADMINISTRATOR, BUSY_SECONDS, LOG, TLS, Door
from keelson.redis.users import LOGINS
from keelson.target import Address

SERVER = "/usr/bin/redis-server"
PLACE = {"bind": LOOPBACK, "protected-mode": "yes", "dir": str(DATA), "aclfile": f"{DATA}/{ACCESS_LIST}"}


class RedisKind:
    """What is particular to Redis; see `keelson.local.daemon.Kind` for what each method is for."""

    logins: ClassVar[tuple[str, ...]] = LOGINS
    patience = BUSY_SECONDS
    warm_up = 0.0

    def check(self, spec: DaemonSpec) -> None:  # noqa: ARG002 - the settings were checked where they were read
        """Raise PlatformError where the private root is missing or damaged."""
        private_root.find()

    def prepare(self, spec: DaemonSpec, port: int) -> Program:
        """Write configuration and access control list, and return the server as the first process of its sandbox."""
        place = _directory(spec)
        users = server.access_list(_passwords(spec), marks.text(place / ACCESS_LIST))
        paths.write_private(place / ACCESS_LIST, users)
        if spec.settings.get(TLS):
            tls.ensure_server(spec.key, place / "tls", spec.name)
        log = _Log(spec, port, place)
        log.choose(read=log.is_read())
        command = private_root.find().command(
            [SERVER, f"{DATA}/redis.conf"], data=place, user="redis", as_first_process=True
        )
        return Program(spec.name, tuple(command), sandboxed=True, lock=place / "server.lock")

    def update(self, spec: DaemonSpec, port: int) -> bool:
        """Set all that Redis takes while it runs; where it refuses its administrator, or is to be encrypted or no more, it must start anew."""
        log, door = _Log(spec, port, _directory(spec)), _door(spec, port)
        if door.speaks_otherwise():
            return True
        return not server.bring(door, spec.settings, _passwords(spec), log, _listening(spec, port))

    def answers(self, spec: DaemonSpec, port: int) -> str:
        """Ask as the administrator."""
        try:
            return server.fault(_door(spec, port))
        except ServerError as fault:
            return str(fault)

    def reason(self, lines: Sequence[str]) -> str:
        """Return why it did not start, from what it logged."""
        return server.reason(lines)


@dataclass(frozen=True)
class _Log:
    """See `keelson.redis.server.LogOfChanges`: what a start reads stands in `redis.conf`."""

    spec: DaemonSpec
    port: int
    place: Path

    def is_read(self) -> bool:
        """Return what was chosen last; for a new Redis what the settings say."""
        before = marks.text(self.place / "redis.conf").splitlines()
        return "appendonly yes" in before if before else bool(self.spec.settings["append_only"])

    def choose(self, *, read: bool) -> None:
        """Write the whole configuration."""
        options = PLACE | _listening(self.spec, self.port) | server.log_options(read=read)
        paths.write_private(self.place / "redis.conf", server.configuration(options, self.spec.settings))

    def remove(self) -> None:
        """Remove the log's directory."""
        shutil.rmtree(self.place / LOG, ignore_errors=True)


def _directory(spec: DaemonSpec) -> Path:
    place = volume.directory(spec.key, spec.name)
    marker = marks.read(place)
    if marker is None:
        msg = f"the data of {spec.name} is missing ({place}); mount its disk or put it back, or run `keelson up` if it was never made"
        raise ServerError(msg)
    if not marks.is_ours(marker, spec.stack_id, spec.name):
        raise marks.foreign(place, marker)
    return place


def _passwords(spec: DaemonSpec) -> dict[str, str]:
    return {login: Registry(spec.key).password(spec.name, login) for login in LOGINS}


def _listening(spec: DaemonSpec, port: int) -> dict[str, str]:
    return server.listening(port, spec.settings, f"{DATA}/tls")


def _door(spec: DaemonSpec, port: int) -> Door:
    root = authorities.file(spec.key) if spec.settings.get(TLS) else None
    address = Address(host=LOOPBACK, port=port, root_certificate=root)
    return Door(spec.name, address, Registry(spec.key).password(spec.name, ADMINISTRATOR))
