"""pgBackRest, as Debian has it: what it is told, and what it says.

The log is sent by a process beside the server (`archive-async`). That one detaches itself, so the postmaster, process 1 of its sandbox,
inherits it, and would take a failure for the crash of a session; so it runs below a shell that ends well.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keelson.backups.physical.archiving import DROPPED, IN_SANDBOX, Archiving, Layout
from keelson.backups.physical.engine import Goal, Inventory, Physical, Workplace
from keelson.errors import BackupError, DamagedError

STANZA = "main"
PROGRAM = "/usr/bin/pgbackrest"
CONFIGURATION, WRAPPER, PUSH = "pgbackrest.conf", "pgbackrest", "pgbackrest-push"
SECONDS, LONGEST = 120.0, 24 * 3600.0
PROCESSES = 2
ARCHIVED_WITHIN = 60  # seconds until a file that was sent must be there
NO_STANZA, READABLE = {1, 3}, {0, 2}  # of what `info` says; 2: there is no backup yet
HISTORY = f"backup/{STANZA}/backup.history"
PAUSE = 0.3  # seconds until a lock is asked for again
PUSHING = """\
#!/bin/sh
# Written by Keelson. Sends a file of the log; what had to be dropped is noted for `keelson status`.
said=$({told}/{wrapper} --config={told}/{configuration} --cmd={told}/{wrapper} --stanza={stanza} archive-push "$1" 2>&1)
status=$?
[ -z "$said" ] || printf '%s\\n' "$said" >&2
case $said in *"dropped WAL file"*) printf '%s %s\\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${{1##*/}}" >>{work}/{dropped} ;; esac
exit $status
"""
WRAPPING = """\
#!/bin/sh
# Written by Keelson. The process that sends the log ends well for whoever inherits it; the log's files say how it went.
{which}case " $* " in *" archive-push:async "*) {program} "$@"; exit 0 ;; esac
exec {program} "$@"
"""
WHICH = """\
PGBACKREST_REPO1_PATH={archive}/$(od -An -tu8 -N8 {pgdata}/global/pg_control | tr -d ' ') # as PostgreSQL names the cluster
export PGBACKREST_REPO1_PATH
"""
_GOES = re.compile(r"INFO: (?:\[DRY-RUN\] )?repo1: ((?:expire|remove expired backup|\S+ remove archive)\b.*)")
_CLOCK = re.compile(r"new backup label '\S+' is not later than latest backup label '(\S+)'")
_SAID = re.compile(r"(?:ERROR|WARN): (?:\[(\d+)\]: )?(.*)")
_SEGMENT = re.compile(r"[0-9A-F]{24}(?=-[0-9a-f]{40})")
_LABEL = re.compile(r"\d{8}-\d{6}[FDI]$")


class BusyError(BackupError):
    """Another process of pgBackRest is at the same work."""


class PgBackRest:
    """See `keelson.backups.physical.engine.Engine` for what each method is for."""

    def command(self, layout: Layout = IN_SANDBOX) -> str:
        """Return the script's, in which `check` finds its own name."""
        return f"{layout.told}/{PUSH} %p"

    def files(
        self, archiving: Archiving, passphrase: str, port: int, layout: Layout = IN_SANDBOX
    ) -> Mapping[str, tuple[str, int]]:
        """Return its configuration and two small scripts."""
        names = {"configuration": CONFIGURATION, "wrapper": WRAPPER, "stanza": STANZA, "dropped": DROPPED}
        which = WHICH.format(archive=layout.archive, pgdata=layout.pgdata) if layout.by_cluster else ""
        return {
            CONFIGURATION: (_configuration(archiving, passphrase, port, layout), 0o600),
            PUSH: (PUSHING.format(**names, told=layout.told, work=layout.work), 0o700),
            WRAPPER: (WRAPPING.format(program=PROGRAM, which=which), 0o700),
        }

    def version(self) -> Sequence[str]:
        """Return its own command."""
        return (PROGRAM, "version")

    def prepare(self, place: Workplace) -> None:
        """Make the stanza, or recognise it; while that has not been made, whoever sends the log holds its lock again and again."""
        deadline = time.monotonic() + SECONDS
        while _status(self._told(place)) in NO_STANZA:
            try:
                self._run(place, "stanza-create", what="making the repository")
            except BusyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE)

    def check(self, place: Workplace) -> None:
        """Send a file of the log, and wait until it is there."""
        self._run(place, "check", what="archiving")

    def back_up(self, place: Workplace, *, full: bool) -> None:
        """Make a full backup or one of what changed since the last; old ones go after it."""
        self._run(place, "backup", f"--type={'full' if full else 'incr'}", what="the backup", seconds=LONGEST)

    def expire(self, place: Workplace, label: str = "", *, dry_run: bool) -> list[str]:
        """Read what it does from its log; a label is also taken out of the history, where one of the future refuses others."""
        told = list[str]()
        if not label or label in {each.label for each in self.inventory(place).backups}:
            options = [*([f"--set={label}"] if label else ()), *(["--dry-run"] if dry_run else ())]
            said = self._run(
                place, "expire", *options, "--log-level-console=info", what="letting backups go", seconds=LONGEST
            )
            told = [" ".join(line.split()) for line in _GOES.findall(said)]
        if label and not dry_run:
            inside = f"{place.repository.name}/" if place.layout.by_cluster else ""
            history = f"{place.layout.archive}/{inside}{HISTORY}"
            place.run(["sh", "-c", f"rm -f {history}/*/{label}.manifest*"], seconds=SECONDS)
        return [*told, *([f"expire {label} from the history"] if label else ())]

    def recorded(self, repository: Path) -> set[str]:
        """Go by the names of files."""
        return {path.name.partition(".")[0] for path in (repository / HISTORY).glob("*/*.manifest*")}

    def inventory(self, place: Workplace) -> Inventory:
        """Return the backups, the oldest first."""
        return _inventory(place, self._told(place))

    def newest(self, repository: Path) -> datetime | None:
        """Go by the names of directories."""
        made = (each.parent.name for each in (repository / "backup" / STANZA).glob("*/backup.manifest"))
        begun = [
            datetime.strptime(name[-16:-1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC) for name in made if _LABEL.search(name)
        ]
        return max(begun, default=None)

    def gaps(self, repository: Path) -> list[tuple[str, str]]:
        """Go by the names of files."""
        names = sorted(
            {found[0] for path in (repository / "archive").rglob("0*") if (found := _SEGMENT.match(path.name))}
        )
        pairs = [(one, other) for one, other in itertools.pairwise(names) if one[:8] == other[:8]]
        return [(one, other) for one, other in pairs if _number(other) != _number(one) + 1]

    def verify(self, place: Workplace) -> str:
        """Read all of it back, and hold it against its checksums."""
        said = self._read(
            place, "verify", "--output=text", "--verbose", what="reading the repository back", seconds=LONGEST
        )
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        wrong = [
            line for line in lines if re.search(r"(?:missing|invalid|checksum|other): *[1-9]|ERROR|status: error", line)
        ]
        if wrong:
            msg = f"the archive of {place.server} is damaged ({wrong[0]}); make a full backup now: `keelson backup run --server {place.server} --full`"
            raise DamagedError(msg)
        return "; ".join(lines)

    def restore(self, place: Workplace, goal: Goal) -> None:
        """Write the files, and what PostgreSQL needs to go forward."""
        until = (
            (
                "--type=time",
                f"--target={goal.moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f+00}",
                "--target-action=promote",
            )
            if goal.moment
            else ("--type=default",)
        )
        options = (f"--set={goal.label}", *until, f"--target-timeline={goal.timeline}")
        where = (f"--pg1-path={place.reading.pgdata}", f"--repo1-path={place.reading.archive}")
        self._read(place, "restore", *where, *options, what="the restore", seconds=LONGEST)

    def _told(self, place: Workplace) -> dict[str, Any]:
        told = json.loads(self._read(place, "info", "--output=json", what="reading the repository"), strict=False)
        return next((stanza for stanza in told if stanza["name"] == STANZA), {})

    @staticmethod
    def _run(place: Workplace, command: str, *options: str, what: str, seconds: float = SECONDS) -> str:
        """Run a command that needs the server."""
        done = place.run(_argv(place.layout, command, options), seconds=seconds)
        return _output(place, done, what)

    @staticmethod
    def _read(place: Workplace, command: str, *options: str, what: str, seconds: float = SECONDS) -> str:
        """Run a command that does with the repository alone."""
        done = place.read(_argv(place.reading, command, options), seconds=seconds)
        return _output(place, done, what)


def _argv(layout: Layout, command: str, options: Sequence[str]) -> list[str]:
    program = f"{layout.told}/{WRAPPER}" if layout.by_cluster else PROGRAM
    return [program, f"--config={layout.told}/{CONFIGURATION}", f"--stanza={STANZA}", *options, command]


def _output(place: Workplace, done: subprocess.CompletedProcess[bytes], what: str) -> str:
    if done.returncode:
        raise _failure(place, done, what)
    return done.stdout.decode(errors="replace")


def _configuration(archiving: Archiving, passphrase: str, port: int, layout: Layout) -> str:
    told = {
        **({} if layout.by_cluster else {"repo1-path": layout.archive}),
        "repo1-cipher-type": "aes-256-cbc",
        "repo1-cipher-pass": passphrase,
        "repo1-retention-full": archiving.keep_full,
        "repo1-bundle": "y",
        "repo1-block": "y",
        "compress-type": "zst",
        "compress-level": 3,
        "process-max": PROCESSES,
        "archive-timeout": ARCHIVED_WITHIN,
        "archive-push-queue-max": archiving.waiting,
        "start-fast": "y",
        "spool-path": f"{layout.work}/spool",
        "lock-path": f"{layout.work}/lock",
        "log-level-file": "off",
        "log-level-console": "warn",
        "log-timestamp": "n",
    }
    socket = {"pg1-socket-path": layout.sockets} if layout.sockets else {}
    server = {"pg1-path": layout.pgdata, "pg1-port": port, "pg1-user": "postgres", **socket}
    sections: dict[str, Mapping[str, object]] = {
        "global": told,
        "global:archive-push": {"archive-async": "y"},
        STANZA: server,
    }
    lines = [
        line
        for name, values in sections.items()
        for line in (f"[{name}]", *(f"{k}={v}" for k, v in values.items()), "")
    ]
    return "\n".join(["# Written by Keelson from the stack's settings; changes here are lost.", *lines])


def _inventory(place: Workplace, stanza: Mapping[str, Any]) -> Inventory:
    if _status(stanza) in NO_STANZA:
        return Inventory()
    if _status(stanza) not in READABLE:
        told = [each.get("status", {}).get("message") for each in (*stanza.get("repo", ()), stanza)]
        said = " ".join(str(next(filter(None, told), "it does not say why")).split())
        if _is_encrypted_otherwise(said):
            raise _undecipherable(place)
        msg = f"the archive of {place.server} cannot be read ({said}); mount its disk and see to its files"
        raise BackupError(msg)
    archives = stanza.get("archive", ())
    last = max((each["max"] for each in archives if each.get("max")), default="")
    return Inventory(tuple(_backup(each) for each in stanza.get("backup", ())), last)


def _number(segment: str) -> int:
    """Return how many files of 16 MB of the log come before one."""
    return (int(segment[8:16], 16) << 8) + int(segment[16:24], 16)


def _status(stanza: Mapping[str, Any]) -> int:
    return int(stanza.get("status", {}).get("code", 1))


def _backup(told: Mapping[str, Any]) -> Physical:
    times, sizes = told["timestamp"], told["info"]
    return Physical(
        label=told["label"],
        full=told["type"] == "full",
        begun=datetime.fromtimestamp(times["start"], UTC),
        ended=datetime.fromtimestamp(times["stop"] + 1, UTC),  # whole seconds, rounded down
        bytes=int(sizes["size"]),
        stored=int(sizes["repository"]["delta"]),
        timeline=int(told["archive"]["start"][:8], 16),
        position=position(told["lsn"]["stop"]),
        fault="some of its pages had a wrong checksum when it was made" if told.get("error") else "",
    )


def position(text: str) -> int:
    """Return a position of the log, such as 0/3000028, as a number."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def _failure(place: Workplace, done: subprocess.CompletedProcess[bytes], what: str) -> BackupError:
    said = (done.stdout + done.stderr).decode(errors="replace")
    found = _SAID.findall(said)
    text = " ".join(found[-1][1].split()) if found else (said.strip().splitlines() or [f"status {done.returncode}"])[-1]
    if _is_encrypted_otherwise(said):
        return _undecipherable(place)
    if future := _CLOCK.search(said):
        return BackupError(of_the_future(place.server, future[1]))
    if "unable to acquire lock" in said:
        return BusyError(f"another process is at work on the archive of {place.server}; wait for its end")
    if "FileMissingError" in said and "archive.info" in said:
        return BackupError(
            f"the archive of {place.server} is missing; mount its disk, or run `keelson up` to begin a new one"
        )
    return BackupError(f"{what} of {place.server} failed: {text.rstrip('.')}; correct that and try again")


def of_the_future(server: str, label: str) -> str:
    """Say what a backup does that was made while the clock was wrong."""
    return (
        f"the archive of {server} has a backup of the future ({label}), made while a clock was wrong, and no full one can be made until then; "
        f"see that the clocks are right now, then let that one go: `keelson backup prune --server {server} --backup {label}`"
    )


def _is_encrypted_otherwise(said: str) -> bool:
    """Say whether a file was there and made no sense: with another passphrase it is taken for noise."""
    return "CryptoError" in said or ("unable to load info file" in said and "FileMissingError" not in said)


def _undecipherable(place: Workplace) -> BackupError:
    step = "its passphrase is another one, or its files are damaged; put the passphrase back with which it was made"
    return BackupError(f"the archive of {place.server} cannot be decrypted: {step}")
