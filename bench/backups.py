"""How long backups and restores of one database take, and how large they are, beside what others do with PostgreSQL's own programs.

Usage: python -m bench.backups [--megabytes N] [--runs N] [--only WORD,…] [--shape tables|series] [--drill]

Prints a table in Markdown: medians over the runs, in seconds, of whole processes, start-up included. The database is generated: half of
it wide rows, half a time series (a hypertable with `--shape series`). Keelson's figure holds reading all of it back and a hash of every row;
the others write, and nothing more, but for the one that says so: it has pg_restore read all of it, and hashes the files. pgBackRest, which
Keelson runs for archives of whole servers, comes last, as the server is started anew for it; its restore brings up a server.
Processor time is that of all processes, the server's too: on a machine that has other work it says more than the seconds that passed.
Memory is that of the largest process, and never less than that of this one, which starts them.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import load, machine
from keelson.backups import keys
from keelson.backups.copies import drop_copies
from keelson.backups.drills.drilling import Plan, drill
from keelson.backups.engines import Destination
from keelson.backups.making import MANUAL, Source, back_up, restore
from keelson.backups.physical import making as physical
from keelson.backups.physical.archiving import Archiving
from keelson.backups.store import Store
from keelson.backups.terms import Terms
from keelson.endpoint import Reference, resolve
from keelson.local import recovery, stack, volume
from keelson.postgres.databases import ensure_database
from keelson.postgres.names import RoleNames
from keelson.postgres.roles import ensure_roles
from keelson.target import target
from tests.local.conftest import LocalStack

KEY, SERVICE, COPY = "bench-dev", "ledger", "ledger_copy"
ADMINISTRATOR = Reference(stack=KEY, target="local", server="main")
WIDE_ROW, READING = 640, 68  # bytes of a row on disk, about
DATA = """
    CREATE TABLE accounts AS
        SELECT id, 'account ' || id AS name, md5(id::text) || md5((id + 1)::text) AS token,
            jsonb_build_object('plan', id % 7, 'tags', array['a' || id % 13, 'b' || id % 17], 'note', repeat(md5((id % 1000)::text), 6)) AS settings,
            now() - id * interval '1 minute' AS created_at, (random() * 1e6)::numeric(12, 2) AS balance, repeat(chr(65 + (id % 26)::int), 40) AS filler
        FROM generate_series(1::bigint, {wide}) AS id;
    ALTER TABLE accounts ADD PRIMARY KEY (id);
    CREATE TABLE readings (at timestamptz NOT NULL, sensor int, value float8, quality numeric(6, 3));
    {series}
    INSERT INTO readings
        SELECT timestamptz '2026-01-01' + id * interval '1 second' AS at, (id % 500)::int AS sensor,
            (20 + 5 * sin(id / 3600.0) + random())::float8 AS value, (random() * 100)::numeric(6, 3) AS quality
        FROM generate_series(1::bigint, {readings}) AS id;
    CREATE INDEX ON readings (sensor, at);
"""
TABLES, SERIES = "tables", "series"
HYPERTABLE = "SELECT create_hypertable('readings', 'at', create_default_indexes => false);"


@dataclass(frozen=True)
class Way:
    """One way to make a backup and to restore it: command lines of a shell, `{out}` where it lies, `{into}` a new database."""

    name: str
    write: str
    read: str


WAYS = (
    Way(
        "pg_dump \\| gzip",
        "pg_dump {db} | gzip > {out}",
        "gunzip < {out} | psql -q -v ON_ERROR_STOP=1 -d {into} > /dev/null",
    ),
    Way("pg_dump -Fc", "pg_dump -Fc -f {out} {db}", "pg_restore -d {into} {out}"),
    Way("pg_dump -Fd -j2 zstd", "pg_dump -Fd -j2 --compress=zstd -f {out} {db}", "pg_restore {jobs} -d {into} {out}"),
    Way(
        "pg_dump -Fd -j2 zstd, read back",
        "pg_dump -Fd -j2 --compress=zstd -f {out} {db}; pg_restore -f /dev/null {out}; sha256sum {out}/* > {out}.sha256; rm {out}.sha256",
        "pg_restore {jobs} -d {into} {out}",
    ),
)
KEELSON, ENCRYPTED, PHYSICAL = "keelson", "keelson, encrypted", "pgBackRest, whole server"
PARAMETERS = {"max_wal_size": "4GB"}
TICKS = os.sysconf("SC_CLK_TCK")  # of /proc/<pid>/stat, a second


@dataclass
class Measured:
    """What was found for one way: seconds of each run and of the processors, bytes, and the memory of its largest process in kB."""

    write: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    write_work: list[float] = field(default_factory=list)
    read_work: list[float] = field(default_factory=list)
    size: int = 0
    memory: int = 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="ways, by words that their names contain")
    parser.add_argument("--shape", choices=(TABLES, SERIES), default=TABLES)
    parser.add_argument("--drill", action="store_true", help="make a drill of the last backup of Keelson's as well")
    parser.add_argument("--do", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.do:
        _do(*arguments.do)
        return
    began = load()
    with (
        tempfile.TemporaryDirectory(prefix="keelson-bench-") as folder,
        _server(Path(folder), arguments.shape) as local,
    ):
        size = _generate(local.stack_id, arguments.megabytes, arguments.shape)
        words = [word for word in arguments.only.split(",") if word]
        names = [KEELSON, ENCRYPTED, *(way.name for way in WAYS)]
        measured = {name: Measured() for name in names if not words or any(word in name for word in words)}
        drilled = ""
        for run in range(arguments.runs):
            for name, found in measured.items():
                _measure(name, found, Path(folder) / "out", local.stack_id, arguments.shape)
                _tell(run, name, found)
                if arguments.drill and name == KEELSON:
                    drilled = _drilled(Path(folder) / "out")
        if not words or any(word in PHYSICAL for word in words):
            measured[PHYSICAL] = _physical(local, arguments.runs)
    _print(measured, size)
    print(f"\n{drilled}{machine()}; load average before {began}, after {load()}; medians of {arguments.runs} runs")


def _tell(run: int, name: str, found: Measured) -> None:
    print(f"{run + 1}: {name} {found.write[-1]:.1f} s, {found.read[-1]:.1f} s", file=sys.stderr, flush=True)


@contextmanager
def _server(home: Path, shape: str = TABLES) -> Iterator[LocalStack]:
    """Run a server of target local whose stack lies below `home`."""
    for name in ("STATE_HOME", "DATA_HOME", "CONFIG_HOME", "RUNTIME_DIR"):
        os.environ[f"XDG_{name}"] = str(home / name.lower())
    local = LocalStack(KEY, stack.register(KEY, "dev"))
    try:
        local.up(timescale=shape == SERIES, parameters=PARAMETERS)
        yield local
    finally:
        local.end()


def _generate(owner: str, megabytes: int, shape: str = TABLES) -> int:
    """Make the service's database and fill it; returns its size in bytes."""
    with resolve(ADMINISTRATOR).connect() as admin:
        ensure_roles(admin, owner, SERVICE, dict.fromkeys(RoleNames(SERVICE).logins, "a password of 24 letters"))
        ensure_database(
            admin,
            lambda name: resolve(ADMINISTRATOR.to(database=name)).connect(),
            owner,
            SERVICE,
            RoleNames(SERVICE).owner,
            ("timescaledb",) if shape == SERIES else (),
        )
    half = megabytes * 500_000
    with resolve(ADMINISTRATOR.to(database=SERVICE)).connect() as connection:
        rows = {"wide": half // WIDE_ROW, "readings": half // READING}
        connection.execute(DATA.format(**rows, series=HYPERTABLE if shape == SERIES else ""))
        connection.execute("VACUUM ANALYZE")
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


def _measure(name: str, found: Measured, out: Path, owner: str, shape: str) -> None:
    way = next((way for way in WAYS if way.name == name), None)
    itself = f"{sys.executable} -m bench.backups --do {{}} {out} '{name}'"
    write, read = (way.write, way.read) if way else (itself.format("write"), itself.format("read"))
    shutil.rmtree(out, ignore_errors=True)
    out.unlink(missing_ok=True)
    jobs = "-j2" if shape == TABLES else ""  # TimescaleDB's catalog has to come in its order
    words = {"db": SERVICE, "out": out, "into": COPY, "jobs": jobs}
    _timed(write.format(**words), found, found.write, found.write_work)
    found.size = sum(path.stat().st_size for path in [out, *out.rglob("*")] if path.is_file())
    if way:
        _new_database(shape)
    try:
        _timed(read.format(**words), found, found.read, found.read_work)
    finally:
        _drop(way, owner)


def _timed(command: str, found: Measured, passed: list[float], worked: list[float]) -> None:
    """Run a command line to its end and note its seconds; PostgreSQL's programs are those of the private root."""
    client = target("local").client
    named = "".join(
        f'{name}() {{ {subprocess.list2cmdline(client(name))} "$@"; }}\n' for name in ("pg_dump", "pg_restore", "psql")
    )
    variables = os.environ | resolve(ADMINISTRATOR).libpq_variables()
    os.sync()
    begun, before = time.monotonic(), _server_seconds()
    process = subprocess.Popen(["/bin/bash", "-o", "pipefail", "-ec", named + command], env=variables)
    _, status, usage = os.wait4(process.pid, 0)
    passed.append(time.monotonic() - begun)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    found.memory = max(found.memory, usage.ru_maxrss)
    worked.append(usage.ru_utime + usage.ru_stime + _server_seconds() - before)


def _server_seconds() -> float:
    """Return what the server of this run has worked, sessions that ended included."""
    data = os.fsencode(volume.directory(KEY, "main"))
    found: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(") ")[2].split()
            found[int(path.parent.name)] = list(map(int, (fields[1], *fields[11:15])))
    for pid, (parent, *own) in found.items():
        with suppress(OSError):
            asked = Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0")
            if b"--info-fd" in asked and data in asked:
                running = sum(user + system for above, user, system, *_ in found.values() if above == pid)
                return (sum(own) + running) / TICKS  # utime, stime, and those of ended children: proc(5)
    sys.exit(f"there is no server on {data!r}")


def _physical(local: LocalStack, runs: int) -> Measured:
    """Let the server keep an archive, and measure full backups of it and servers that are restored from them."""
    local.up(timescale=False, parameters=PARAMETERS, archiving=Archiving())
    physical.prepare(KEY, "main")
    found = Measured()
    itself = f"{sys.executable} -m bench.backups --do {{}} - '{PHYSICAL}'"
    for run in range(runs):
        _timed(itself.format("write"), found, found.write, found.write_work)
        _timed(itself.format("read"), found, found.read, found.read_work)
        recovery.discard_all(KEY)
        _tell(run, PHYSICAL, found)
    found.write_work = found.read_work = [math.nan]  # of what ends with its sandbox the kernel keeps no account
    found.size = physical.every(KEY, "main")[0].inventory.backups[-1].stored
    return found


def _drilled(out: Path) -> str:
    """Make a drill of the last backup, and say how long it took."""
    begun, store = time.monotonic(), Store(KEY, out)
    if (last := store.last(SERVICE)) is None:
        sys.exit(f"there is no backup of {SERVICE} in {store.directory} for a drill")
    done = drill(last, Plan(store, "local"))
    return f"a drill of it: {time.monotonic() - begun:.1f} s, {'well' if done.well else 'not well'}; "


def _do(what: str, directory: str, name: str) -> None:
    """Do one thing with Keelson, as its commands do."""
    if name == PHYSICAL:
        physical.back_up(KEY, "main", full=True) if what == "write" else recovery.beside(KEY, "main", None)
        return
    recipients = keys.ensure(KEY).recipients if name == ENCRYPTED else ()
    store = Store(KEY, Path(directory), Terms(recipients=recipients))
    if what == "write":
        back_up(Source("postgres", ADMINISTRATOR.to(database=SERVICE)), store, MANUAL)
        return
    last = store.last(SERVICE)
    if last is None:
        sys.exit(f"there is no backup of {SERVICE} in {store.directory}")
    restore(last, Destination(SERVICE, ADMINISTRATOR.to(database=COPY)))


def _new_database(shape: str) -> None:
    with resolve(ADMINISTRATOR).connect() as admin:
        admin.execute(f"CREATE DATABASE {COPY} TEMPLATE template0")
    if shape == SERIES:
        with resolve(ADMINISTRATOR.to(database=COPY)).connect() as connection:
            connection.execute("CREATE EXTENSION timescaledb")
            connection.execute("SELECT timescaledb_pre_restore()")


def _drop(way: Way | None, owner: str) -> None:
    with resolve(ADMINISTRATOR).connect() as admin:
        if way is None:
            drop_copies(admin, owner, SERVICE)
        else:
            admin.execute(f"DROP DATABASE {COPY} WITH (FORCE)")
        admin.execute("CHECKPOINT")


def _print(measured: dict[str, Measured], size: int) -> None:
    print(
        f"| {size / 1e6:.0f} MB | backup, s | processors, s | restore, s | processors, s | size, MB | memory, MB |\n|---|---|---|---|---|---|---|"
    )
    for name, found in measured.items():
        each = (found.write, found.write_work, found.read, found.read_work)
        times = " | ".join(f"{statistics.median(seconds):.1f}".replace("nan", "-") for seconds in each)
        print(f"| {name} | {times} | {found.size / 1e6:.0f} | {found.memory / 1024:.0f} |")


if __name__ == "__main__":
    main()
