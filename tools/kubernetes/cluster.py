"""Starts, fills and ends a test cluster."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from keelson import paths
from keelson.errors import PlatformError
from tools.kubernetes import groups, keeper, parts, place, programs
from tools.kubernetes.api import Api, RefusedError
from tools.kubernetes.place import NODE, Place
from tools.machine.kubernetes import lacking
from tools.machine.places import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEADLINE = 180.0  # seconds for a cluster to be ready
POLL = 0.05  # seconds between two looks
LAST_LINES = 3  # of each log, shown after a failure
WIDTH = 300  # characters of such a line


def up(directory: Path, level: str = "node", until: int | None = None) -> Path:
    """Start a cluster in a directory and return where its kubeconfig lies, when it is ready.

    Args:
        directory: of the cluster, made here, and removed by `down`.
        level: api (no node, so pods stay Pending) or node.
        until: the cluster ends with this process.

    Raises:
        PlatformError: it cannot be started here, or did not become ready.
    """
    _require(level)
    directory = directory.resolve()
    _refuse_running(directory)
    slot, lock = place.take_slot()
    where = Place(paths.private_directory(directory), slot, level)
    try:
        where.write()
        parts.write(where)
        process = _keep(where, lock, until)
    finally:
        os.close(lock)
    try:
        _await(where, process)
    except BaseException as fault:
        lines = _last_lines(where)
        down(directory)
        process.wait()
        if isinstance(fault, (TimeoutError, ChildProcessError)):
            msg = f"the test cluster in {directory} {fault}; the last lines of its programs are:\n{lines}"
            raise PlatformError(msg) from None
        raise
    process.returncode = 0  # it outlives this process, which need not wait for it
    return where.kubeconfig


def down(directory: Path) -> None:
    """End the cluster of a directory with all that it ran, and remove the directory; nothing where there is none."""
    directory = directory.resolve()
    try:
        where = place.read(directory)
    except PlatformError:
        return
    if (process := keeper_of(where)) is not None:
        _end(process)
    if (lock := _free(where.slot)) is not None:  # none runs here any more, so what is left is of a killed keeper's
        keeper.disconnect(where)
        groups.remove(where.link)
        os.close(lock)
    shutil.rmtree(directory, ignore_errors=True)


def load(directory: Path, archives: Iterable[Path], alias: str | None = None) -> list[str]:
    """Import archives of `docker save` into the node's images; return the names by which pods get them.

    Args:
        directory: of the cluster.
        archives: what to import.
        alias: one more name for each, whatever its digest says: that of an image which cannot be pulled here.

    Raises:
        PlatformError: no cluster with a node runs there, or an archive cannot be read.
    """
    where = place.read(directory.resolve())
    process = keeper_of(where)
    if process is None or where.level == "api":
        msg = f"no test cluster with a node runs in {directory}; `tools/cluster up --directory {directory}` starts one"
        raise PlatformError(msg)
    ctr = _inside(process, "ctr", "-a", parts.CONTAINERD, "-n", "k8s.io", "images")
    names: list[str] = []
    for archive in archives:
        for name, digest in _import(ctr, archive):
            further = [f"{_repository(name)}@{digest}", *([_complete(alias)] if alias else [])]
            subprocess.run([*ctr, "tag", "--force", name, *further], check=True, stdout=subprocess.DEVNULL)
            names += [name, *further]
    return names


def at_node(directory: Path, *command: str) -> list[str]:
    """Return a command as it is run among the cluster's own addresses, with this machine's files."""
    process = keeper_of(place.read(directory.resolve()))
    if process is None:
        msg = f"no test cluster runs in {directory}; `tools/cluster up --directory {directory}` starts one"
        raise PlatformError(msg)
    return ["nsenter", "--target", str(_first(process)), "--net", "--", *command]


def _inside(process: int, *command: str) -> list[str]:
    """Return a command as it is run among the cluster's own files and addresses."""
    return ["nsenter", "--target", str(_first(process)), "--mount", "--net", "--", *command]


def _first(keeper: int) -> int:
    (first,) = _children(_children(keeper)[0])
    return first


def _import(ctr: list[str], archive: Path) -> list[tuple[str, str]]:
    try:
        with archive.open("rb") as content:
            done = subprocess.run([*ctr, "import", "-"], stdin=content, capture_output=True, text=True, check=False)
    except OSError as fault:
        msg = f"cannot read the archive {archive}: {fault.strerror}; make one with `docker save`"
        raise PlatformError(msg) from None
    found = re.findall(r"^unpacking (\S+) \((sha256:\w+)\)", done.stdout, re.MULTILINE)
    if done.returncode or not found:
        msg = f"{archive} could not be imported ({done.stderr.strip() or 'it names no image'}); make it with `docker save NAME`"
        raise PlatformError(msg)
    return found


def _repository(name: str) -> str:
    """Return an image's name without its tag; a colon before the last slash belongs to a port."""
    path, slash, last = name.rpartition("/")
    return f"{path}{slash}{last.partition(':')[0]}"


def _complete(name: str) -> str:
    """Return the name that a node gives an image of which a pod names no registry."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def runs(directory: Path) -> bool:
    """Tell whether a cluster runs in a directory."""
    with contextlib.suppress(PlatformError):
        return keeper_of(place.read(directory.resolve())) is not None
    return False


def keeper_of(where: Place) -> int | None:
    """Return the process that keeps a cluster; None where none does, whatever has its number now."""
    try:
        number = int((where.directory / "keeper").read_text())
        words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return number if b"tools.kubernetes.keeper" in words and os.fsencode(where.directory) in words else None


def _require(level: str) -> None:
    programs.require(level)
    if os.geteuid():
        msg = "only root can make a test cluster's namespaces; run this as root"
        raise PlatformError(msg)
    if packages := lacking():
        msg = f"this machine lacks {', '.join(packages)}; `tools/setup kubernetes` installs what a test cluster needs"
        raise PlatformError(msg)


def _refuse_running(directory: Path) -> None:
    if runs(directory):
        msg = f"a test cluster runs in {directory} already; end it with `tools/cluster down --directory {directory}`"
        raise PlatformError(msg)
    down(directory)


def _keep(where: Place, lock: int, until: int | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tools.kubernetes.keeper", str(where.directory), *([str(until)] if until else [])]
    with (where.logs / "keeper.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=PROJECT, pass_fds=[lock], start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    (where.directory / "keeper").write_text(str(process.pid))
    return process


def _await(where: Place, process: subprocess.Popen[bytes]) -> None:
    """Wait until the cluster can be used: API, objects, and with a node also that it is ready and names resolve."""
    api = Api(where.kubeconfig)
    deadline = time.monotonic() + DEADLINE

    def until(what: str, holds: Callable[[], bool]) -> None:
        while not _true(holds):
            if process.poll() is not None:
                msg = "ended as soon as it had started"
                raise ChildProcessError(msg)
            if time.monotonic() > deadline:
                msg = f"was not ready within {DEADLINE:.0f} s: {what}"
                raise TimeoutError(msg)
            time.sleep(POLL)

    until("the API server does not answer", lambda: api.ask("GET", "/readyz") == "ok")
    for thing in parts.objects(where):
        until(f"it does not take {thing['kind']}", partial(_applied, api, thing))
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    until("namespaces get no service account", lambda: bool(api.ask("GET", account)))
    if where.level == "node":
        until("its node is not ready", lambda: _holds(api.ask("GET", f"/api/v1/nodes/{NODE}"), "Ready"))
        dns = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
        until("names do not resolve", lambda: _holds(api.ask("GET", dns), "Available"))


def _applied(api: Api, thing: dict[str, object]) -> bool:
    api.apply(thing)
    return True


def _true(holds: Callable[[], bool]) -> bool:
    try:
        return holds()
    except (OSError, RefusedError, http.client.HTTPException, json.JSONDecodeError):
        return False


def _holds(thing: dict[str, dict[str, list[dict[str, str]]]], condition: str) -> bool:
    found = thing.get("status", {}).get("conditions", [])
    return any(each["type"] == condition and each["status"] == "True" for each in found)


def _last_lines(where: Place) -> str:
    found = []
    for log in sorted(where.logs.glob("*.log")):
        lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        found += [f"    {log.stem}: {line[:WIDTH]}" for line in lines]
    return "\n".join(found)


def _end(process: int) -> None:
    """End a keeper and wait until all of its cluster has ended, though the keeper be killed meanwhile."""
    family = [process, *(boxes := _children(process)), *(each for box in boxes for each in _children(box))]
    handles = []
    for each in family:
        with contextlib.suppress(ProcessLookupError):
            handles.append(os.pidfd_open(each))
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handles[0], signal.SIGTERM)
    for handle in handles:
        select.select([handle], [], [])
        os.close(handle)


def _children(process: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def _free(slot: int) -> int | None:
    """Return the slot's lock as soon as its last process has let go of it, None if another cluster has it."""
    deadline = time.monotonic() + groups.PATIENCE
    while (lock := place.try_slot(slot)) is None and time.monotonic() < deadline:
        time.sleep(POLL)
    return lock
