"""A Redis as a daemon of this machine.

Its directory holds `redis.conf` and `users.acl`, written here, Redis's snapshot `dump.rdb` and its log of changes in
`appendonlydir`. Which of the two it starts from stands in `redis.conf` and changes only once the other is complete:
Redis itself would start empty where the log is asked for and only a snapshot is there.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from keelson import paths
from keelson.errors import ServerError
from keelson.local import marks, volume
from keelson.local import root as private_root
from keelson.local.daemon import DaemonSpec
from keelson.local.registry import Registry
from keelson.local.root import DATA, telling
from keelson.local.supervisor import Program
from keelson.redis.users import LOGINS, platform_rules
from keelson.redis.wire import Conversation, RefusedError, conversation

SERVER = "/usr/bin/redis-server"
ADMINISTRATOR = "admin"
ANSWER_SECONDS = 1.5
CHANGE_SECONDS = 10.0
BUSY_SECONDS = 600.0  # for what goes over all data: loading it, or writing it anew
POLL = 0.02
FIXED = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "databases": "16",
    "dir": str(DATA),
    "aclfile": f"{DATA}/users.acl",
    "logfile": '""',
    "daemonize": "no",
    "save": "3600 1 300 100 60 10000",
    "stop-writes-on-bgsave-error": "yes",
    "appendfsync": "everysec",
    "aof-use-rdb-preamble": "yes",
    "aof-load-truncated": "yes",
    "repl-diskless-sync-delay": "0",  # a backup is the only replica there is, and need not wait for others
    "hide-user-data-from-log": "yes",
    # A damaged file shall end a start with an exit status. The report on a crash itself crashes while a log loads, which
    # would look like a kill, after which a server is started again at once.
    "use-exit-on-panic": "yes",
    "crash-log-enabled": "no",
}
RUNTIME = {  # the settings that Redis takes while it runs
    "maxmemory": "maxmemory",
    "maxmemory_policy": "maxmemory-policy",
    "notify_keyspace_events": "notify-keyspace-events",
}
REFUSALS = {
    "LOADING": "is loading its data",
    "MISCONF": "cannot write its data to the disk",
    "WRONGPASS": "refuses the administrator's password; `keelson restart` puts that right",
}
BUSY = ("rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled")
PREFIX = re.compile(r"^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ [.*#-] ")
SERIOUS = re.compile(r"^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ # (?!WARNING)")


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
        paths.write_private(place / "users.acl", _access_list(spec, place))
        _write_configuration(spec, port, place, logged=_logged(spec, place))
        command = private_root.find().command(
            [SERVER, f"{DATA}/redis.conf"], data=place, user="redis", as_first_process=True
        )
        return Program(spec.name, tuple(command), sandboxed=True, lock=place / "server.lock")

    def update(self, spec: DaemonSpec, port: int) -> bool:
        """Set all that Redis takes while it runs; only where it refuses its administrator, it must start anew."""
        try:
            with conversation(port, ADMINISTRATOR, _password(spec), CHANGE_SECONDS) as redis:
                _await_data(redis)
                values = [word for name, option in RUNTIME.items() for word in (option, str(spec.settings[name]))]
                redis.ask("CONFIG", "SET", *values)
                for user, rules in platform_rules(_passwords(spec)).items():
                    redis.ask("ACL", "SETUSER", user, *rules.split(" "))
                _keep_log(spec, port, redis)
        except RefusedError as fault:
            if fault.code == "WRONGPASS":
                return True
            msg = f"{spec.name} refused: {fault}; see `keelson logs {spec.name}`"
            raise ServerError(msg) from None
        except OSError as fault:
            msg = f"{spec.name} does not answer ({fault or 'in time'}); run `keelson restart {spec.name}`"
            raise ServerError(msg) from None
        return False

    def answers(self, spec: DaemonSpec, port: int) -> str:
        """Ask as the administrator; Redis refuses even a ping while it loads, or when it cannot write to its disk."""
        try:
            with conversation(port, ADMINISTRATOR, _password(spec), ANSWER_SECONDS) as redis:
                redis.ask("PING")
        except RefusedError as fault:
            return REFUSALS.get(fault.code, str(fault))
        except OSError:
            return "does not answer"
        except ServerError as fault:
            return str(fault)
        return ""

    def reason(self, lines: Sequence[str]) -> str:
        """Return why it did not start, from what it logged."""
        said = [PREFIX.sub("", line) for line in lines]
        serious = [text for line, text in zip(lines, said, strict=True) if SERIOUS.search(line)]
        return _damage(said) or (serious[-1] if serious else telling(said))


def _directory(spec: DaemonSpec) -> Path:
    place = volume.directory(spec.key, spec.name)
    marker = marks.read(place)
    if marker is None:
        msg = f"the data of {spec.name} is missing ({place}); mount its disk or put it back, or run `keelson up` if it was never made"
        raise ServerError(msg)
    if not marks.is_ours(marker, spec.stack_id, spec.name):
        raise marks.foreign(place, marker)
    return place


def _access_list(spec: DaemonSpec, place: Path) -> str:
    """Return the list with the platform's users as they should be, and all others as they are."""
    ours = {user: f"user {user} {rules}" for user, rules in platform_rules(_passwords(spec)).items()}
    others = [line for line in marks.text(place / "users.acl").splitlines() if line.split(" ")[1:2] not in _names(ours)]
    return "\n".join([*ours.values(), *others]) + "\n"


def _names(users: Mapping[str, str]) -> list[list[str]]:
    return [[user] for user in users]


def _write_configuration(spec: DaemonSpec, port: int, place: Path, *, logged: bool) -> None:
    values = FIXED | {option: str(spec.settings[name]) or '""' for name, option in RUNTIME.items()}
    values |= {"port": str(port), "appendonly": "yes" if logged else "no"}
    # The log holds every change; a snapshot at each stop would only take time.
    values |= {"shutdown-on-sigterm": "nosave" if logged else "default"}
    lines = [f"{name} {value}" for name, value in sorted(values.items())]
    text = "\n".join(["# Written by Keelson from the stack's settings; changes here are lost.", *lines]) + "\n"
    paths.write_private(place / "redis.conf", text)


def _logged(spec: DaemonSpec, place: Path) -> bool:
    """Return whether the log of changes is what a start must read: as it was last; for a new one as the settings say."""
    before = marks.text(place / "redis.conf").splitlines()
    return "appendonly yes" in before if before else bool(spec.settings["append_only"])


def _keep_log(spec: DaemonSpec, port: int, redis: Conversation) -> None:
    """Begin or end the log of changes as the settings say, so that a kill at any moment leaves one that is complete."""
    place, wanted = _directory(spec), bool(spec.settings["append_only"])
    if wanted == _logged(spec, place):
        return
    log = place / "appendonlydir"
    if wanted:
        shutil.rmtree(log, ignore_errors=True)  # of an earlier time, or half of one
        redis.ask("CONFIG", "SET", "appendonly", "yes")
        _await_written(redis, "aof_last_bgrewrite_status", lambda _: True)
        _write_configuration(spec, port, place, logged=True)
    else:
        before = redis.info("persistence")["rdb_saves"]
        redis.ask("BGSAVE", "SCHEDULE")
        _await_written(
            redis, "rdb_last_bgsave_status", lambda now: now["rdb_saves"] != before
        )  # it counts when it begins
        _write_configuration(spec, port, place, logged=False)
        redis.ask("CONFIG", "SET", "appendonly", "no")
        shutil.rmtree(log, ignore_errors=True)
    redis.ask("CONFIG", "SET", "shutdown-on-sigterm", "nosave" if wanted else "default")


def _await_written(redis: Conversation, status: str, done: Callable[[Mapping[str, str]], bool]) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        now = redis.info("persistence")
        if now[status] != "ok" or time.monotonic() > deadline:
            msg = "it could not write all its data to the disk; make room and run the command again"
            raise ServerError(msg)
        if done(now) and not any(now[name] != "0" for name in BUSY):
            return
        time.sleep(POLL)


def _await_data(redis: Conversation) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < deadline:
        try:
            redis.ask("PING")
        except RefusedError as fault:
            if fault.code == "LOADING":
                time.sleep(POLL)
                continue
        return


def _passwords(spec: DaemonSpec) -> dict[str, str]:
    return {login: Registry(spec.key).password(spec.name, login) for login in LOGINS}


def _password(spec: DaemonSpec) -> str:
    return Registry(spec.key).password(spec.name, ADMINISTRATOR)


def _damage(said: Sequence[str]) -> str:
    """Return a sentence about a file that Redis could not read, nothing if that is not why it ended."""
    text = "\n".join(said)
    if found := re.search(r"(?:Bad file format|Unrecoverable error) reading the append only file ([\w.]+)", text):
        return (
            f"its log of changes is damaged (appendonlydir/{found[1].rstrip('.')}); restore a backup, or cut the log off "
            "at the damage by `redis-check-aof --fix` (docs/redis.md)"
        )
    if re.search(
        r"RDB reading|Guru Meditation: .* RDB|Wrong RDB checksum|short read or OOM|Error reading the RDB|Bad .*RDB",
        text,
    ):
        file = "appendonlydir/*.base.rdb" if "on AOF loading" in text else "dump.rdb"
        return f"its snapshot is damaged ({file}); restore a backup (docs/redis.md)"
    return ""
