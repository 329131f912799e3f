"""A Docker daemon for the tests: the one in KEELSON_TEST_DOCKER_HOST, else one of the run's own.

The first worker that needs it starts a guard (`python -m tests.daemon PID`, this module). The guard starts dockerd in a
slot of its own, that is with directories, a socket and a range of addresses that no other run has, and ends it with all its
containers, networks and volumes when the run's first process has ended, however that came about. Images stay in the
slot's data root for the next run; a data root with which dockerd does not start is made anew.

dockerd leaves iptables alone (`--iptables=false`): a second dockerd that writes rules flushes those of the first. Two rules for
the slot's range do what the tests need: neighbours on one network reach each other, though the machine's usual daemon drops
what is forwarded, and nothing else leaves a network. Ports are published by docker-proxy. What only a daemon's own
rules enforce (`enable_icc=false`) is not enforced here.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import ipaddress
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import docker
import docker.errors
import pytest
import requests

from keelson import paths
from keelson.local.runner import die_with_parent

VARIABLE = "KEELSON_TEST_DOCKER_HOST"
SLOTS = 16
CHECKOUT = Path(__file__).resolve().parents[1]
DIRECTORY = Path(tempfile.gettempdir()) / "keelson-docker"  # short: a socket's path ends at 107 bytes
DEADLINE = 60.0  # seconds for dockerd to answer
GRACE = 10.0  # seconds for dockerd to end
MOST_IMAGES = 8 * 1024**3  # bytes that images may take from one run to the next
RUN = int(
    os.environ.setdefault("KEELSON_TEST_RUN", str(os.getpid()))
)  # workers inherit it from the run's first process

_guards: list[subprocess.Popen[str]] = []


class NoDaemonError(Exception):
    """Why there is no daemon, as a sentence."""


@pytest.fixture(scope="session")
def docker_host() -> str:
    """The address of a daemon for the tests, shared by all workers of the run."""
    try:
        return host()
    except NoDaemonError as fault:
        if os.environ.get("CI"):
            pytest.fail(str(fault))
        pytest.skip(str(fault))


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the run's daemon with the run, whichever worker had it started."""
    if hasattr(config, "workerinput"):
        for guard in _guards:
            guard.returncode = 0  # it outlives the worker, which need not wait for it
        return
    if _guarded():
        with contextlib.suppress(ProcessLookupError):
            _end_process(json.loads(_note().read_text())["guard"], signal.SIGTERM, 3 * GRACE)
    for guard in _guards:
        guard.wait()
    for path in (_note(), _note().with_suffix(".lock")):
        path.unlink(missing_ok=True)


@functools.cache
def host() -> str:
    """Return the address of the run's daemon, started by whoever asks first.

    Raises:
        NoDaemonError: there is none and none can be started.
    """
    if given := os.environ.get(VARIABLE):
        return given
    if os.geteuid() or not shutil.which("dockerd"):
        lack = (
            "only root can start a Docker daemon"
            if os.geteuid()
            else "there is no dockerd; `tools/setup docker` brings it"
        )
        msg = f"{lack}; or name in {VARIABLE} a daemon that the tests may use"
        raise NoDaemonError(msg)
    paths.private_directory(DIRECTORY)
    with _locked(_note().with_suffix(".lock")):
        if (found := _guarded()) is None:
            _start_guard()
            found = _guarded()
        if found is None:
            msg = f"dockerd ended as soon as it had started; see {DIRECTORY}"
            raise NoDaemonError(msg)
        return found


def _note() -> Path:
    return DIRECTORY / f"run-{RUN}.json"


def _guarded() -> str | None:
    """Return the address that this run's guard serves, None where it has none or the note is an ended run's."""
    with contextlib.suppress(OSError, ValueError):
        note = json.loads(_note().read_text())
        words = Path(f"/proc/{note['guard']}/cmdline").read_bytes().split(b"\0")
        if b"tests.daemon" in words and str(RUN).encode() in words:
            return str(note["host"])
    return None


def _start_guard() -> None:
    with (DIRECTORY / "guard.log").open("a") as log:
        guard = subprocess.Popen(
            [sys.executable, "-m", "tests.daemon", str(RUN)],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert guard.stdout
    with guard.stdout:
        answer = guard.stdout.readline().strip()
    if not answer.startswith("unix://"):
        guard.wait()
        msg = f"dockerd could not be started: {answer or f'see {log.name}'}"
        raise NoDaemonError(msg)
    _guards.append(guard)
    _note().write_text(json.dumps({"host": answer, "guard": guard.pid}))


@contextlib.contextmanager
def _locked(path: Path, operation: int = fcntl.LOCK_EX) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)


class Slot:
    """The places of one daemon. What a killed guard left in them is cleared away before they serve again."""

    def __init__(self, number: int) -> None:
        self.directory = DIRECTORY / str(number)
        self.data = paths.cache() / "docker-test" / str(number)
        self.socket = self.directory / "docker.sock"
        self.pid_file = self.directory / "pid"
        self.network = ipaddress.ip_network(f"10.213.{number * 256 // SLOTS}.0/20")
        self.log = self.directory / "dockerd.log"

    @property
    def host(self) -> str:
        """The daemon's address."""
        return f"unix://{self.socket}"

    @property
    def command(self) -> list[str | Path]:
        """How dockerd is started; a daemon of the machine's own stays out of it, its containerd too."""
        settings = self.directory / "daemon.json"
        settings.write_text("{}")
        name = f"keelson-test-{self.directory.name}"
        words = f"""
            --bridge none --iptables=false --ip6tables=false --ip-masq=false --ip-forward=false
            --default-address-pool base={self.network},size=26 --shutdown-timeout 5 --log-level warn
            --containerd-namespace {name} --containerd-plugins-namespace {name}-plugins
        """.split()
        places: list[str | Path] = ["--config-file", settings, "--host", self.host, "--pidfile", self.pid_file]
        return ["dockerd", *words, *places, "--data-root", self.data, "--exec-root", self.directory / "exec"]

    def rules(self) -> list[list[str]]:
        """What is forwarded: all between neighbours on a bridge, nothing else; the last one goes in front."""
        mine = ["-m", "comment", "--comment", f"keelson-test {self.directory.name}"]
        neighbours = ["-s", str(self.network), "-d", str(self.network), "-m", "physdev", "--physdev-is-bridged"]
        return [["-s", str(self.network), *mine, "-j", "DROP"], [*neighbours, *mine, "-j", "ACCEPT"]]

    def end_leftovers(self) -> None:
        """End a dockerd that runs here though its guard is gone, and take its rules and bridges away."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(self.pid_file.read_text())
            if os.fsencode(self.data) in Path(f"/proc/{pid}/cmdline").read_bytes():
                _end_process(pid, signal.SIGTERM, GRACE)
        self.clear_network()

    def clear_network(self) -> None:
        """Take away this slot's rules and the bridges that dockerd leaves behind."""
        if shutil.which("iptables"):
            for rule in self.rules():
                while _quiet("iptables", "-w", "-D", "FORWARD", *rule):
                    pass
        for link in self._links():
            _quiet("ip", "link", "delete", link)

    def _links(self) -> list[str]:
        if not shutil.which("ip"):
            return []
        found = subprocess.run(["ip", "-j", "-4", "addr"], capture_output=True, text=True, check=False).stdout
        return [
            link["ifname"]
            for link in json.loads(found or "[]")
            for address in link.get("addr_info", ())
            if link.get("ifname", "").startswith("br-") and ipaddress.ip_address(address["local"]) in self.network
        ]

    def wipe(self) -> None:
        """Remove the data root, with what is still mounted in it."""
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in sorted((each for each in mounts if Path(each).is_relative_to(self.data)), reverse=True):
            _quiet("umount", "-l", mount)
        shutil.rmtree(self.data, ignore_errors=True)


class Guard:
    """Runs dockerd for as long as the run's first process lives."""

    def __init__(self, run: int) -> None:
        self.run = os.pidfd_open(run)
        self.woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self.slot = take_slot()
        self.dockerd: subprocess.Popen[bytes] | None = None

    def serve(self) -> None:
        """Start dockerd, say where it answers, wait for the end, clean up."""
        try:
            self.start()
            print(self.slot.host, flush=True)  # noqa: T201 - tells who started it
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            assert self.dockerd
            select.select([self.run, self.woken, os.pidfd_open(self.dockerd.pid)], [], [])
        except NoDaemonError as fault:
            print(fault, flush=True)  # noqa: T201
        finally:
            self.end()

    def start(self) -> None:
        """Start dockerd; with a new data root where the old one is damaged."""
        self.slot.end_leftovers()
        if not self._starts():
            self.slot.wipe()
            if not self._starts():
                last = self.slot.log.read_text(errors="replace").splitlines()[-1:]
                msg = f"{''.join(last)} (the whole log is {self.slot.log})"
                raise NoDaemonError(msg)
        if shutil.which("iptables"):
            for rule in self.slot.rules():
                _quiet("iptables", "-w", "-I", "FORWARD", *rule)

    def _starts(self) -> bool:
        self.slot.data.mkdir(parents=True, exist_ok=True)
        with self.slot.log.open("w") as log:
            self.dockerd = subprocess.Popen(
                self.slot.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - the guard has one thread
            )
        deadline = time.monotonic() + DEADLINE
        while self.dockerd.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
                clear(self.slot.host)
                return True
            time.sleep(0.02)
        self._end_dockerd()
        return False

    def end(self) -> None:
        """Remove all but the images, end dockerd, and take the rules away."""
        with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
            clear(self.slot.host)
        self._end_dockerd()
        self.slot.clear_network()

    def _end_dockerd(self) -> None:
        if self.dockerd and self.dockerd.poll() is None:
            _end_process(self.dockerd.pid, signal.SIGTERM, GRACE)
            self.dockerd.wait()


def take_slot() -> Slot:
    """Return a slot that no other guard has; this process keeps it to its end."""
    for number in range(SLOTS):
        slot = Slot(number)
        paths.private_directory(slot.directory)
        lock = os.open(slot.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return slot
        os.close(lock)
    msg = f"{SLOTS} test runs have a daemon already; wait until one ends"
    raise NoDaemonError(msg)


def clear(address: str) -> None:
    """Remove every container, network and volume of the run's own daemon, and its images when they are too many."""
    api = docker.APIClient(address, version="auto", timeout=60)
    with contextlib.closing(api):
        for container in api.containers(all=True):
            _unless_gone(partial(api.remove_container, container["Id"], v=True, force=True))
        for network in api.networks(filters={"type": "custom"}):
            _unless_gone(partial(api.remove_network, network["Id"]))
        for volume in api.volumes()["Volumes"] or ():
            _unless_gone(partial(api.remove_volume, volume["Name"], force=True))
        if api.df()["LayersSize"] > MOST_IMAGES:
            api.prune_images({"dangling": False})  # type: ignore[no-untyped-call]


def _unless_gone(remove: Callable[[], object]) -> None:
    with contextlib.suppress(docker.errors.NotFound):
        remove()


def _end_process(pid: int, number: signal.Signals, seconds: float) -> None:
    """Signal a process and wait for its end; kill it when the time is over."""
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, number)
        if not select.select([handle], [], [], seconds)[0]:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [])
    finally:
        os.close(handle)


def _quiet(*command: str) -> bool:
    return not subprocess.run(command, capture_output=True, check=False).returncode


if __name__ == "__main__":
    Guard(int(sys.argv[1])).serve()
