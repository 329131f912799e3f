"""Waiting for a part's container, starting it anew, and running a small command in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from keelson.docker import containers, part
from keelson.docker.part import DockerSpec
from keelson.errors import KeelsonError, ServerError
from keelson.local.root import telling

if TYPE_CHECKING:
    from docker.models.containers import Container

POLL = 0.1
LINES = 50  # of its log, in which its reason stands


def container(spec: DockerSpec) -> Container:
    """Return a part's container; raises ServerError where there is none."""
    found = part.find_container(spec)
    if found is None:
        msg = f"{spec.name} has no container; run `keelson up`"
        raise ServerError(msg)
    return found


def wait(
    spec: DockerSpec, fault: Callable[[], str], seconds: float, reason: Callable[[Sequence[str]], str] = telling
) -> None:
    """Wait until there is no fault any more.

    Args:
        spec: the part.
        fault: returns nothing once the part answers.
        seconds: how long to wait.
        reason: returns why it ended, from what it logged.

    Raises:
        ServerError: its process ended, or it does not answer in time.
    """
    containers.forget(spec.place, spec.key)
    deadline, restarts = time.monotonic() + seconds, container(spec).attrs["RestartCount"]
    while said := _asked(fault):
        found = container(spec)
        ended = found.status != "running" or found.attrs["RestartCount"] > restarts
        if ended or time.monotonic() > deadline:
            lines = _log(found) if ended else []
            msg = f"{spec.name} does not start: {reason(lines) or said}; see `keelson logs {spec.name}` and run the command again"
            raise ServerError(msg)
        time.sleep(POLL)


def restart(spec: DockerSpec, seconds: int) -> None:
    """Start a container anew, after an end that may take so many seconds."""
    container(spec).restart(timeout=seconds)
    containers.forget(spec.place, spec.key)


def run(found: Container, *command: str) -> str:
    """Run a small command in a container and return what it writes; raises ServerError where it fails."""
    done: Any = found.exec_run(list(command))
    status, output = done
    text = str(output, errors="replace")
    if status:
        msg = f"{command[0]} failed in the container {found.name}: {telling(text.splitlines()) or f'status {status}'}; see its log"
        raise ServerError(msg)
    return text


def _log(found: Container) -> list[str]:
    written: Any = found.logs(tail=LINES)
    return str(written, errors="replace").splitlines()


def _asked(fault: Callable[[], str]) -> str:
    try:
        return fault()
    except KeelsonError as found:
        return str(found)
