"""A Redis that is thrown away: it loads one snapshot, answers on a socket of this process alone, and writes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from keelson import inside, paths
from keelson.backups import programs
from keelson.errors import DamagedError
from keelson.local import processes
from keelson.local import root as private_root
from keelson.local.root import DATA
from keelson.redis import server

if TYPE_CHECKING:
    import redis

PROGRAM = "/usr/bin/redis-server"
SNAPSHOT, SOCKET, LOG = "dump.rdb", "socket", "log"
OPTIONS = {
    "dbfilename": SNAPSHOT,
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "sanitize-dump-payload": "yes",  # each value is looked at in full
    "use-exit-on-panic": "yes",
    "crash-log-enabled": "no",
    "activerehashing": "no",
    # A replica keeps keys that have expired: what is counted does not depend on when. It never finds its master.
    "replicaof": "127.0.0.1 1",
}
POLL = 0.02

Connect = Callable[[int], "redis.Redis"]


@contextmanager
def loaded(fill: Callable[[Path], None]) -> Iterator[Connect]:
    """Load the snapshot that `fill` writes to the path it is given, and give what connects to a numbered database.

    Raises:
        DamagedError: the snapshot cannot be read to its end.
    """
    with _scratch() as directory:
        fill(directory / SNAPSHOT)
        with (directory / LOG).open("wb") as log:
            process = subprocess.Popen(
                _command(directory),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=private_root.plain_environment(),
                cwd=directory,
                umask=0o077,
                process_group=0,
            )
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            connect = _connector(f"/proc/self/fd/{handle}/{SOCKET}")  # short, however long the directory's name
            _await(process, connect, directory / LOG)
            yield connect
        finally:
            os.close(handle)
            process.kill()
            process.wait()


def counts(connect: Connect) -> dict[str, int]:
    """Return the number of keys of each database that has any, and of function libraries where there are any."""
    with connect(0) as client:
        keys = {f"database {name.removeprefix('db')}": int(of["keys"]) for name, of in client.info("keyspace").items()}
        libraries = len(client.function_list())
    return keys | ({"function libraries": libraries} if libraries else {})


def _command(directory: Path) -> list[str]:
    """Return what ends with this process: in the private root, or, where there is none, as it is."""
    place = "." if inside.here() else str(DATA)
    options = OPTIONS | {"dir": place, "unixsocket": f"{place}/{SOCKET}"}
    program = [PROGRAM, *(word for name, value in options.items() for word in (f"--{name}", *value.split(" ")))]
    if inside.here():
        return [*programs.tied(program), *program]
    return private_root.find().command(program, data=directory, user="redis", as_first_process=True)


def _connector(path: str) -> Connect:
    import redis  # noqa: PLC0415 - slow, and most commands do without
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    return lambda database: redis.Redis(unix_socket_path=path, db=database, retry=Retry(NoBackoff(), 0))


def _await(process: subprocess.Popen[bytes], connect: Connect, log: Path) -> None:
    """Wait until all is loaded, however long that takes."""
    import redis  # noqa: PLC0415

    while True:
        with suppress(redis.ConnectionError), connect(0) as client:
            if client.ping():
                return
        if process.poll() is not None:
            reason = server.reason(log.read_text(errors="replace").splitlines())
            msg = f"the snapshot cannot be loaded: {reason.partition(';')[0]}; use another backup"
            raise DamagedError(msg)
        time.sleep(POLL)


@contextmanager
def _scratch() -> Iterator[Path]:
    """Give a private directory on the disk of the data; one that a killed process left is removed."""
    base = paths.private_directory(paths.data() / "scratch")
    for left in base.glob("redis-*"):
        if processes.look(int(left.name.split("-")[1])) is None:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"redis-{os.getpid()}-", dir=base) as directory:
        yield Path(directory)
    with suppress(OSError):  # another one is at work
        base.rmdir()
