"""The small process between supervisor and one server, run as a script: `python -I -S runner.py OPTIONS -- COMMAND…`.

supervisor can neither signal through bubblewrap nor tell a killed server from one that cannot start, and it takes two
seconds to notice either. This process

- waits for the server's lock, which every process of the server before still holds, so that two never run at once;
- learns the server's process id from bubblewrap (`--info-fd`) and passes signals on: TERM and INT as the stop signal,
  HUP as it is; after a QUIT the stop signal is QUIT, a stop at once;
- starts a server that ended again: at once if it was killed or had been running, after a pause if it failed at start;
- stops its server cleanly when supervisord dies; if it is killed itself, the kernel kills its server;
- passes the exit status on when the server was stopped;
- writes what it knows into a JSON file: `runner` and `server` (process ids), `started`, `ended`, `status`, `failures`.

It imports the standard library only, and little of that: one runs beside each server for ever.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import sys
import time

WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD)
PR_SET_PDEATHSIG = 1  # linux/prctl.h
POLL = 0.05  # seconds between two tries for the lock
INSISTENT = (
    1.0  # seconds until a stop signal is repeated: process 1 of a namespace misses those before its handler is set
)
SHORT = 10.0  # seconds: a server that ends sooner has failed at start
LONGEST_PAUSE = 30.0  # seconds
KILLED = 128  # a greater exit status tells a signal
CRASHES = frozenset(KILLED + number for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL))


class Options:
    """The words before `--`, as `--name value`."""

    def __init__(self, argv: list[str]) -> None:
        cut = argv.index("--")
        given = dict(zip(argv[0:cut:2], argv[1:cut:2], strict=True))
        self.command = argv[cut + 1 :]
        self.state = given["--state"]
        self.lock = given["--lock"]
        self.supervisor = given["--supervisor"]
        self.stop = signal.Signals[given.get("--stop", "SIGTERM")]
        self.sandboxed = given.get("--sandboxed", "yes") == "yes"


class Child:
    """The started command and the server's process in it."""

    def __init__(self, pid: int, server: int) -> None:
        self.pid = pid
        self.server = server
        self._handle = os.pidfd_open(server)

    def signal(self, number: int) -> None:
        """Signal the server, and never another process that got its id."""
        try:
            signal.pidfd_send_signal(self._handle, number)
        except ProcessLookupError:
            return

    def status(self) -> int | None:
        """Return the exit status, None while the command runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else KILLED - code


def main(argv: list[str]) -> int:
    """Keep the command running until a stop is asked for, and return its last exit status."""
    options = Options(argv)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    if not follow_supervisor(options.supervisor):
        return 0
    failures = int(recall(options.state).get("failures", 0))
    while (lock := wait_for_lock(options.lock)) is not None:
        status, failures, stopped = run(options, lock, failures)
        if stopped or (failures and paused(min(2.0 ** (failures - 1), LONGEST_PAUSE))):
            return status
    return 0


def run(options: Options, lock: int, failures: int) -> tuple[int, int, bool]:
    """Run the command once; return its exit status, how often in a row it failed at start, and whether it was stopped."""
    started = time.time()
    child = start(options, lock)
    os.close(lock)  # from here on the server's processes hold it, and they alone
    note = {"runner": os.getpid(), "server": child.server if child else 0, "started": started, "failures": failures}
    remember(options.state, note)
    status, stopped = wait(child, options.stop) if child else (1, False)
    ended = time.time()
    failed = not stopped and ended - started < SHORT and (0 < status < KILLED or status in CRASHES)
    failures = failures + 1 if failed else 0
    remember(options.state, {**note, "ended": ended, "status": status, "failures": failures})
    return status, failures, stopped


def follow_supervisor(pid_file: str) -> bool:
    """Ask for TERM when supervisord dies; False if it is dead already."""
    die_with_parent(signal.SIGTERM)
    try:
        with open(pid_file, encoding="ascii") as file:  # noqa: PTH123  # pathlib costs half a megabyte
            return int(file.read()) == os.getppid()
    except (OSError, ValueError):
        return False


def die_with_parent(number: int) -> None:
    """Let the kernel send this process `number` when its parent dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def wait_for_lock(path: str) -> int | None:
    """Return a descriptor that holds the lock, None if a stop was asked for before it was free."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        os.write(2, f"cannot open {path}: {fault.strerror}\n".encode())
        paused(LONGEST_PAUSE)
        return None
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if asked_to_stop(POLL):
                return None
        else:
            return lock


def asked_to_stop(seconds: float) -> bool:
    """Wait for a signal for at most `seconds`; True if it was one that ends us."""
    got = signal.sigtimedwait(WATCHED, seconds)
    return got is not None and got.si_signo in (signal.SIGTERM, signal.SIGINT)


def start(options: Options, lock: int) -> Child | None:
    """Start the command; None if its sandbox could not be made."""
    read, write = os.pipe()
    command = options.command
    if options.sandboxed:
        command = [command[0], "--info-fd", str(write), *command[1:]]
    runner = os.getpid()
    pid = os.fork()
    if not pid:
        become(command, (lock, write) if options.sandboxed else (lock,), runner)
    os.close(write)
    server = server_process(read) if options.sandboxed else pid
    os.close(read)
    try:
        return Child(pid, server or pid)
    except ProcessLookupError:
        return None


def become(command: list[str], descriptors: tuple[int, ...], runner: int) -> None:
    """Turn the forked process into the command, which keeps the descriptors."""
    try:
        die_with_parent(signal.SIGKILL)
        if os.getppid() == runner:
            for descriptor in descriptors:
                os.set_inheritable(descriptor, True)  # noqa: FBT003  # the standard library's signature
            signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
            os.execvp(command[0], command)  # noqa: S606
    except OSError as fault:
        os.write(2, f"cannot run {command[0]}: {fault.strerror}\n".encode())
    finally:
        os._exit(127)


def server_process(info: int) -> int | None:
    """Return the server's process id as this machine counts, which bubblewrap tells."""
    text = b""
    while chunk := os.read(info, 4096):
        text += chunk
        if b"}" in chunk:
            return int(json.loads(text)["child-pid"])
    return None


def wait(child: Child, stop: signal.Signals) -> tuple[int, bool]:
    """Pass signals on until the command ends; return its exit status and whether a stop was asked for."""
    stopping = False
    while (status := child.status()) is None:
        got = signal.sigtimedwait(WATCHED, INSISTENT if stopping else 3600)
        number = got.si_signo if got else None
        stopping = stopping or number in (signal.SIGTERM, signal.SIGINT)
        stop = signal.SIGQUIT if number == signal.SIGQUIT else stop
        if stopping:
            child.signal(stop)
        elif number == signal.SIGHUP:
            child.signal(signal.SIGHUP)
    return status, stopping


def paused(seconds: float) -> bool:
    """Wait; True at once if a stop is asked for meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if asked_to_stop(left):
            return True
    return False


def recall(path: str) -> dict[str, float]:
    """Return what the runner before wrote down."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            known: dict[str, float] = json.load(file)
            return known
    except (OSError, ValueError):
        return {}


def remember(path: str, note: dict[str, float]) -> None:
    """Write down what is known; a full disk is no reason to give up a server."""
    try:
        with open(f"{path}.new", "w", encoding="ascii", opener=_private) as file:
            json.dump(note, file)
        os.replace(f"{path}.new", path)  # noqa: PTH105
    except OSError as fault:
        os.write(2, f"cannot write {path}: {fault.strerror}\n".encode())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
