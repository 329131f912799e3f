"""A Redis server of the platform, wherever it runs: its configuration, its access control list, and what is asked of it while it runs.

Which of snapshot and log of changes a start reads stands in its configuration, and changes only once the other is complete:
Redis itself would start empty where the log is asked for and only a snapshot is there.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from keelson.errors import ServerError
from keelson.local.root import telling
from keelson.redis.users import platform_rules
from keelson.redis.wire import Conversation, RefusedError, conversation, is_unverified, speaks_plainly
from keelson.target import Address

ADMINISTRATOR = "admin"
LOG = "appendonlydir"  # where Redis keeps its log of changes
ACCESS_LIST = "users.acl"
ANSWER_SECONDS = 1.5
CHANGE_SECONDS = 10.0
BUSY_SECONDS = 600.0  # for what goes over all data: loading it, or writing it anew
POLL = 0.02
FIXED = {
    "databases": "16",
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
TLS = "tls"  # among the settings: the oldest version that is spoken, where connections are encrypted
PROTOCOLS = ("TLSv1.2", "TLSv1.3")
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
UNVERIFIED = "shows a certificate that is not good; `keelson restart` puts that right"
BUSY = ("rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled")
PREFIX = re.compile(r"^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ [.*#-] ")
SERIOUS = re.compile(r"^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ # (?!WARNING)")


@dataclass(frozen=True)
class Door:
    """Where the administrator reaches a Redis, and how messages call it."""

    name: str
    address: Address
    password: str

    @contextmanager
    def open(self, seconds: float) -> Iterator[Conversation]:
        """Log in; each answer comes within `seconds`. Raises RefusedError or OSError."""
        with conversation(self.address, ADMINISTRATOR, self.password, seconds) as redis:
            yield redis

    def speaks_otherwise(self) -> bool:
        """Say whether it answers in clear where it should not, or the other way round: it runs since before that was changed."""
        return speaks_plainly(self.address, ANSWER_SECONDS) is (self.address.root_certificate is not None)


class LogOfChanges(Protocol):
    """What the files of one Redis say about its log of changes; each step holds from its return on, whatever is killed."""

    def is_read(self) -> bool:
        """Say whether a start reads it, and not the snapshot."""

    def choose(self, *, read: bool) -> None:
        """Let the next start read it, or the snapshot; by `log_options`."""

    def remove(self) -> None:
        """Remove what is there of it."""


def configuration(place: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    """Return the text of a configuration: `place` are options that depend on where it runs, `settings` those of the stack."""
    values = FIXED | {option: str(settings[name]) or '""' for name, option in RUNTIME.items()} | dict(place)
    lines = [f"{name} {value}" for name, value in sorted(values.items())]
    return "\n".join(["# Written by Keelson from the stack's settings; changes here are lost.", *lines]) + "\n"


def listening(port: int, settings: Mapping[str, Any], directory: str) -> dict[str, str]:
    """Return the options that say where it listens, and with which files of a directory it proves who it is."""
    least = str(settings.get(TLS) or "")
    if not least:
        return {"port": str(port)}
    return {
        "port": "0",
        "tls-port": str(port),
        **certificate_options(directory),
        "tls-auth-clients": "no",
        "tls-protocols": f'"{" ".join(PROTOCOLS[PROTOCOLS.index(least) :])}"',
    }


def certificate_options(directory: str) -> dict[str, str]:
    """Return the options that name the files of its certificate; setting them anew while it runs has it read these anew."""
    names = {"tls-cert-file": "server.crt", "tls-key-file": "server.key", "tls-ca-cert-file": "ca.crt"}
    return {option: f"{directory}/{name}" for option, name in names.items()}


def log_options(*, read: bool) -> dict[str, str]:
    """Return the options that say what a start reads.

    The log holds every change; a snapshot at each stop would only take time.
    """
    return {"appendonly": "yes" if read else "no", "shutdown-on-sigterm": "nosave" if read else "default"}


def access_list(passwords: Mapping[str, str], before: str = "") -> str:
    """Return the list with the platform's users as they should be, and all others as they are in `before`."""
    ours = {user: f"user {user} {rules}" for user, rules in platform_rules(passwords).items()}
    names = [[user] for user in ours]
    others = [line for line in before.splitlines() if line.split(" ")[1:2] not in names]
    return "\n".join([*ours.values(), *others]) + "\n"


def bring(
    door: Door,
    settings: Mapping[str, Any],
    passwords: Mapping[str, str],
    log: LogOfChanges,
    listens: Mapping[str, str] = MappingProxyType({}),
) -> bool:
    """Set all that Redis takes while it runs.

    Only where it refuses its administrator, or shows a certificate that has ended, nothing is done and False returned.
    Of how it `listens`, as `listening` has it, all but the ports: its certificate too, which it reads anew. Connections that are open stay.

    Raises:
        ServerError: it refuses something else, or does not answer.
    """
    try:
        with door.open(CHANGE_SECONDS) as redis:
            _await_data(redis)
            values = {option: str(settings[name]) for name, option in RUNTIME.items()}
            values |= {option: text.strip('"') for option, text in listens.items() if not option.endswith("port")}
            redis.ask("CONFIG", "SET", *(word for pair in values.items() for word in pair))
            for user, rules in platform_rules(passwords).items():
                redis.ask("ACL", "SETUSER", user, *rules.split(" "))
            _keep_log(redis, log, wanted=bool(settings["append_only"]))
    except RefusedError as fault:
        if fault.code == "WRONGPASS":
            return False
        msg = f"{door.name} refused: {fault}; see `keelson logs {door.name}`"
        raise ServerError(msg) from None
    except OSError as fault:
        if is_unverified(fault):
            return False
        msg = f"{door.name} does not answer ({fault or 'in time'}); run `keelson restart {door.name}`"
        raise ServerError(msg) from None
    return True


def fault(door: Door) -> str:
    """Return nothing if it answers its administrator; Redis refuses even a ping while it loads, or when it cannot write to its disk."""
    try:
        with door.open(ANSWER_SECONDS) as redis:
            redis.ask("PING")
    except RefusedError as refused:
        return REFUSALS.get(refused.code, str(refused))
    except OSError as failed:
        return UNVERIFIED if is_unverified(failed) else "does not answer"
    return ""


def reason(lines: Sequence[str]) -> str:
    """Return why it did not start, from what it logged."""
    said = [PREFIX.sub("", line) for line in lines]
    serious = [text for line, text in zip(lines, said, strict=True) if SERIOUS.search(line)]
    return _damage(said) or (serious[-1] if serious else telling(said))


def _keep_log(redis: Conversation, log: LogOfChanges, *, wanted: bool) -> None:
    """Begin or end the log of changes, so that a kill at any moment leaves what is read complete."""
    if wanted == log.is_read():
        return
    if wanted:
        log.remove()  # of an earlier time, or half of one
        redis.ask("CONFIG", "SET", "appendonly", "yes")
        _await_written(redis, "aof_last_bgrewrite_status", lambda _: True)
        log.choose(read=True)
    else:
        before = redis.info("persistence")["rdb_saves"]
        redis.ask("BGSAVE", "SCHEDULE")
        _await_written(
            redis, "rdb_last_bgsave_status", lambda now: now["rdb_saves"] != before
        )  # it counts when it begins
        log.choose(read=False)
        redis.ask("CONFIG", "SET", "appendonly", "no")
        log.remove()
    redis.ask("CONFIG", "SET", "shutdown-on-sigterm", log_options(read=wanted)["shutdown-on-sigterm"])


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
        except RefusedError as refused:
            if refused.code == "LOADING":
                time.sleep(POLL)
                continue
        return


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
