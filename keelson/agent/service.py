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

import prometheus_client

from keelson.agent import child, health, pages
from keelson.agent.health import Health
from keelson.agent.looks import Look
from keelson.agent.loop import Loop
from keelson.agent.metrics import Metrics
from keelson.agent.pages import LOOPBACK, Answer, Pages
from keelson.errors import KeelsonError, ServerError
from keelson.local import registry
from keelson.target import target

STOPS = (signal.SIGTERM, signal.SIGINT)
WATCHED = (*STOPS, signal.SIGCHLD)
DEFAULTS = {"--target": "local", "--host": LOOPBACK, "--names": ""}
TICK = 2.0  # seconds between two looks at the clock on the wall and at the jobs


def main(argv: Sequence[str], command: Sequence[str] = child.RUN) -> int:
    """Run until a stop is asked for: `KEY --port N [--target NAME] [--host ADDRESS] [--names NAME,NAME]`.

    Args:
        argv: the words of the command line; the names are those by which the pages may be asked for beside the usual ones.
        command: the program of a run.
    """
    key, options = argv[0], DEFAULTS | dict(zip(argv[1::2], argv[2::2], strict=True))
    host = options["--host"]
    # Blocked before any thread begins, so that the main thread alone gets them, and only where it waits for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    try:
        with alone(key):
            loop = Loop(key, command=command)
            every = every_page(key, options["--target"], loop)
            served = Pages(int(options["--port"]), every, host, [*filter(None, options["--names"].split(","))])
            print(f"agent of {key} on {host}:{served.port}", flush=True)  # noqa: T201 - its log
            loop.step()
            threading.Thread(target=served.serve_forever, args=(1.0,), daemon=True).start()
            keep(loop)
    except KeelsonError as fault:
        print(fault, flush=True)  # noqa: T201
        return 1
    return 0


def keep(loop: Loop) -> None:
    """Go on until a stop is asked for; a defect in one step is told, and does not end the agent."""
    while (got := signal.sigtimedwait(WATCHED, TICK)) is None or got.si_signo not in STOPS:
        try:
            loop.step()
        except Exception as fault:  # noqa: BLE001 - /health says that the schedule stands still if it lasts
            print(f"unexpected {type(fault).__name__} in the loop", flush=True)  # noqa: T201
            traceback.print_exc()
    loop.end()


def every_page(key: str, target_name: str, loop: Loop) -> Mapping[str, Callable[[], Answer]]:
    """Return what makes each page."""
    parts = Look(partial(target(target_name).parts, key), health.DEADLINE)
    healthy, metrics = Health(key, parts, lambda: loop.view), Metrics(parts, lambda: loop.view)
    return {
        "/health": lambda: _health(healthy),
        "/live": lambda: as_live(key, loop),
        "/metrics": lambda: Answer(HTTPStatus.OK, metrics.page(), prometheus_client.CONTENT_TYPE_LATEST),
    }


def as_live(key: str, loop: Loop) -> Answer:
    """Return a page that says whether the agent itself works, whatever it has to tell about the stack."""
    return pages.as_json({"stack": key, "pid": os.getpid()}, well=health.moves(loop.view))


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
