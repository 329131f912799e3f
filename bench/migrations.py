"""How long migrations take, beside the tools that others use: the same statements, the same server, one run.

Usage: python -m bench.migrations [--runs N] [--only WORD,…] [--peers WORD,…]

Prints a table in Markdown: medians over the runs, in seconds, of whole processes, start-up included. The server is a PostgreSQL
of this run's own, with the durability that PostgreSQL has by default. A peer that cannot be installed is left out, and named.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from psycopg import sql

from bench.machine import load, machine
from bench.peers import ALL, Migration, MissingError, Peer
from bench.peers.peer import Place
from tests import servers

SERVER = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "log_min_messages": "warning"}
ONCE = 60.0  # s: what takes longer is not run again
LONGEST = 900  # s
SETTLED = 3.0  # s after which a file is not of this moment
TENANTS = 200
AT_ONCE = 4  # processes of a peer that knows one database
Scenario = Callable[["Bench", Peer], list[float]]
T = TypeVar("T")


@dataclass
class Bench:
    """A server, the places for files, and what was measured: {scenario: {peer: seconds}}."""

    server: servers.Server
    folder: Path
    runs: int
    measured: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    tenants: list[Place] = field(default_factory=list)

    def place(self, database: str) -> Place:
        """Return where `database` is."""
        return Place("127.0.0.1", self.server.port, servers.ADMINISTRATOR, self.server.password, database)

    @contextmanager
    def databases(self, number: int) -> Iterator[list[Place]]:
        """Make empty databases and drop them, which waits for the disk less than what is measured does."""
        places = [self.place(f"bench_{index:03d}") for index in range(number)]
        self._wait_for_disk("off")
        self._execute("CREATE DATABASE {} TEMPLATE template0", places)
        self._wait_for_disk("on")
        os.sync()
        try:
            yield places
        finally:
            self._wait_for_disk("off")
            self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", places)

    def empty_tenants(self, number: int) -> list[Place]:
        """Return many empty databases, which are made once: that takes longer than what is measured."""
        if not self.tenants:
            self.tenants = [self.place(f"tenant_{index:03d}") for index in range(number)]
            self._wait_for_disk("off")
            self._execute("CREATE DATABASE {} TEMPLATE template0", self.tenants)
            self._wait_for_disk("on")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._empty, self.tenants))
        os.sync()
        return self.tenants

    def _empty(self, place: Place) -> None:
        query = "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
        with self.server.connect(place.database) as connection:
            for (name,) in connection.execute(query).fetchall():
                connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
            connection.execute("CREATE SCHEMA public")

    def _wait_for_disk(self, setting: str) -> None:
        with self.server.connect() as connection:
            connection.execute(sql.SQL("ALTER SYSTEM SET fsync = {}").format(sql.SQL(setting)))
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CHECKPOINT")

    def files(self, peer: Peer, migrations: Sequence[Migration]) -> Path:
        """Write a peer's files anew."""
        folder = self.folder / "files"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        peer.write(folder, migrations)
        return folder

    def tables(self, place: Place) -> int:
        """Count what the migrations have made."""
        with self.server.connect(place.database) as connection:
            row = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'thing%'").fetchone()
        return int(row[0]) if row else 0

    def _execute(self, statement: str, places: Sequence[Place]) -> None:
        with self.server.connect() as connection:
            for place in places:
                connection.execute(sql.SQL(statement).format(sql.Identifier(place.database)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="scenarios, by words that their names contain")
    parser.add_argument("--peers", default="", help="peers, by words that their names contain")
    arguments = parser.parse_args()
    peers, missing = _installed(_chosen(ALL, arguments.peers, lambda peer: peer.name))
    scenarios = _chosen(list(SCENARIOS), arguments.only, str)
    began = load()
    with (
        tempfile.TemporaryDirectory(prefix="keelson-bench-") as folder,
        servers.running(Path(folder), SERVER) as server,
    ):
        bench = Bench(server, Path(folder), arguments.runs)
        for name in scenarios:
            _measure(bench, name, peers)
    _print(bench, peers, scenarios)
    print(f"\n{machine()}; load average before {began}, after {load()}; medians of {arguments.runs} runs")
    for name, why in (missing | bench.faults).items():
        print(f"left out: {name}: {why}")


def _measure(bench: Bench, name: str, peers: Sequence[Peer]) -> None:
    """Run a scenario with each peer in turn, so that what else the machine does falls on all."""
    found = bench.measured.setdefault(name, {})
    for run in range(bench.runs):
        for peer in peers:
            seconds = found.setdefault(peer.name, [])
            over = len(seconds) >= bench.runs or any(each > ONCE for each in seconds)
            if over or f"{peer.name}, {name}" in bench.faults:
                continue
            try:
                seconds += SCENARIOS[name](bench, peer)
            except (subprocess.SubprocessError, NotDoneError) as fault:
                bench.faults[f"{peer.name}, {name}"] = _reason(fault)
            except NotMeantError:
                bench.faults[f"{peer.name}, {name}"] = "remembers nothing"
            else:
                print(f"{name} {run + 1}: {peer.name} {seconds[-1]:.2f} s", file=sys.stderr, flush=True)


class NotDoneError(Exception):
    """A tool ended well and has not done its work."""


class NotMeantError(Exception):
    """A scenario is nothing for this tool."""


def _from_empty(number: int) -> Scenario:
    def run(bench: Bench, peer: Peer) -> list[float]:
        folder = bench.files(peer, _tables(number))
        with bench.databases(1) as (place,):
            seconds = _timed(lambda: _run(peer.command(folder, place)))
            _expect(bench.tables(place), number)
        return [seconds]

    return run


def _noop(number: int) -> Scenario:
    """All are applied; timed are as many runs as there shall be at once, as preparing takes long."""

    def run(bench: Bench, peer: Peer) -> list[float]:
        if not peer.has_noop():
            raise NotMeantError
        folder = bench.files(peer, _rows(number))
        with bench.databases(1) as (place,):
            _run(peer.prepare(folder, place))
            time.sleep(SETTLED)
            _run(peer.command(folder, place))  # what it keeps between runs is there
            return [_timed(lambda: _run(peer.command(folder, place))) for _ in range(bench.runs)]

    return run


def _fleet(number: int, at_once: int) -> Scenario:
    def run(bench: Bench, peer: Peer) -> list[float]:
        folder, places = bench.files(peer, _tables(5)), bench.empty_tenants(number)
        commands = peer.fleet(folder, places)
        with ThreadPoolExecutor(at_once) as pool:
            seconds = _timed(lambda: list(pool.map(_run, commands)))
        _expect(sum(bench.tables(place) for place in places), number * 5)
        return [seconds]

    return run


def _tables(number: int) -> list[Migration]:
    return [
        Migration(
            each,
            (
                f"CREATE TABLE thing_{each:05d} (id bigint PRIMARY KEY, name text NOT NULL)",
                f"INSERT INTO thing_{each:05d} VALUES (1, 'one')",  # noqa: S608 - a number
            ),
        )
        for each in range(1, number + 1)
    ]


def _rows(number: int) -> list[Migration]:
    """Return migrations that are quickly applied."""
    first = Migration(1, ("CREATE TABLE things (id bigint, name text NOT NULL)",))
    return [first, *(Migration(each, ("INSERT INTO things VALUES (1, 'one')",)) for each in range(2, number + 1))]


SCENARIOS: dict[str, Scenario] = {
    "100 from empty": _from_empty(100),
    "1000 from empty": _from_empty(1000),
    "nothing to do, 1000 applied": _noop(1000),
    "nothing to do, 10000 applied": _noop(10_000),
    f"{TENANTS} databases x 5, one process after another": _fleet(TENANTS, 1),
    f"{TENANTS} databases x 5, {AT_ONCE} processes at once": _fleet(TENANTS, AT_ONCE),
}


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST)


def _timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def _expect(found: int, expected: int) -> None:
    if found != expected:
        msg = f"made {found} tables of {expected}"
        raise NotDoneError(msg)


def _reason(fault: Exception) -> str:
    if isinstance(fault, subprocess.CalledProcessError):
        words = str(fault.stderr or fault.stdout).strip().splitlines()
        return words[-1] if words else f"exit status {fault.returncode}"
    if isinstance(fault, subprocess.TimeoutExpired):
        return f"took longer than {LONGEST} s"
    return str(fault)


def _installed(peers: Sequence[Peer]) -> tuple[list[Peer], dict[str, str]]:
    present, missing = [], {}
    for peer in peers:
        try:
            peer.install()
        except MissingError as fault:
            missing[peer.name] = str(fault)
        else:
            present.append(peer)
    return present, missing


def _chosen(values: Sequence[T], words: str, name: Callable[[T], str]) -> list[T]:
    wanted = [word.strip().lower() for word in words.split(",") if word.strip()]
    return [value for value in values if not wanted or any(word in name(value).lower() for word in wanted)]


def _print(bench: Bench, peers: Sequence[Peer], scenarios: Sequence[str]) -> None:
    print(f"| seconds | {' | '.join(scenarios)} |\n|---|{'---|' * len(scenarios)}")
    for peer in peers:
        cells = [bench.measured[name].get(peer.name, []) for name in scenarios]
        print(f"| {peer.name} | {' | '.join(f'{statistics.median(cell):.2f}' if cell else '-' for cell in cells)} |")


if __name__ == "__main__":
    main()
