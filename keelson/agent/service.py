"""The agent's process: the loop in its main thread, the pages beside it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import prometheus_client

from keelson.agent import archives, child, health, pages
from keelson.agent.health import Health
from keelson.agent.looks import Look
from keelson.agent.loop import Loop, View
from keelson.agent.metrics import Metrics
from keelson.agent.onlooker import Onlooker
from keelson.agent.pages import LOOPBACK, Answer, Pages
from keelson.errors import KeelsonError, ServerError
from keelson.inside.mounted import Mounted
from keelson.local import registry
from keelson.target import target

STOPS = (signal.SIGTERM, signal.SIGINT)
WATCHED = (*STOPS, signal.SIGCHLD)
DEFAULTS = {"--target": "local", "--host": LOOPBACK, "--names": "", "--state": ""}
TICK = 2.0  # seconds between two looks at the clock on the wall and at the jobs


class Work(Protocol):
    """What the main thread keeps going."""

    view: View

    def step(self) -> None:
        """Do what is to be done now, and show how things are."""

    def end(self) -> None:
        """End what runs, and wait for it."""


def main(argv: Sequence[str], command: Sequence[str] = child.RUN) -> int:
    """Run until a stop is asked for: `KEY --port N [--target NAME] [--host ADDRESS] [--names NAME,NAME] [--state FILE]`.

    Args:
        argv: the words of the command line; the names are those by which the pages may be asked for beside the usual ones. With a
            state, which is mounted as that file and may be replaced there at any time, the jobs are run by others.
        command: the program of a run.
    """
    key, options = argv[0], DEFAULTS | dict(zip(argv[1::2], argv[2::2], strict=True))
    host = options["--host"]
    # Blocked before any thread begins, so that the main thread alone gets them, and only where it waits for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    try:
        work = begin(key, options["--state"], command)
        with alone(key):
            every = every_page(key, options["--target"], work)
            served = Pages(int(options["--port"]), every, host, [*filter(None, options["--names"].split(","))])
            print(f"agent of {key} on {host}:{served.port}", flush=True)  # noqa: T201 - its log
            work.step()
            threading.Thread(target=served.serve_forever, args=(1.0,), daemon=True).start()
            keep(work)
    except KeelsonError as fault:
        print(fault, flush=True)  # noqa: T201
        return 1
    return 0


def begin(key: str, state: str, command: Sequence[str]) -> Work:
    """Return the loop; where the state is mounted, what looks on, with that state taken over. Raises PlatformError."""
    if not state:
        return Loop(key, command=command)
    mounted = Mounted(key, Path(state))
    mounted.follow()
    return Onlooker(key, mounted)


def keep(work: Work) -> None:
    """Go on until a stop is asked for; a defect in one step is told, and does not end the agent."""
    while (got := signal.sigtimedwait(WATCHED, TICK)) is None or got.si_signo not in STOPS:
        try:
            work.step()
        except Exception as fault:  # noqa: BLE001 - /health says that the schedule stands still if it lasts
            print(f"unexpected {type(fault).__name__} in the loop", flush=True)  # noqa: T201
            traceback.print_exc()
    work.end()


def every_page(key: str, target_name: str, work: Work) -> Mapping[str, Callable[[], Answer]]:
    """Return what makes each page."""
    place = target(target_name)
    parts = Look(partial(place.parts, key), health.DEADLINE)
    kept = Look(lambda: archives.look(work.view), archives.DEADLINE)
    healthy = Health(key, parts, lambda: work.view, kept)
    metrics = Metrics(parts, lambda: work.view, partial(place.certificates, key), kept)
    return {
        "/health": lambda: _health(healthy),
        "/live": lambda: as_live(key, work),
        "/metrics": lambda: Answer(HTTPStatus.OK, metrics.page(), prometheus_client.CONTENT_TYPE_LATEST),
    }


def as_live(key: str, work: Work) -> Answer:
    """Return a page that says whether the agent itself works, whatever it has to tell about the stack."""
    return pages.as_json({"stack": key, "pid": os.getpid()}, well=health.moves(work.view))


@contextlib.contextmanager
def alone(key: str) -> Iterator[None]:
    """Hold the stack's directory itself, which needs no room on a full disk; raises ServerError when another agent does."""
    try:
        descriptor = os.open(registry.directory(key), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        msg = f"stack {key} has no directory on this machine; run `keelson up`"
        raise ServerError(msg) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        msg = f"another agent works for stack {key}; stop that one"
        raise ServerError(msg) from None
    finally:
        os.close(descriptor)


def _health(healthy: Health) -> Answer:
    page = healthy.page()
    return pages.as_json(page, well=bool(page["well"]))
