"""What others are told of a run over HTTP: a webhook that it failed, and a watcher outside that it began and how it ended.

The watcher (healthchecks.io, or one that understands its addresses) notices by pings that stop coming that nothing runs at all. None of it
keeps a job waiting or makes it fail, and nothing that is told holds a secret or a row.
"""

from __future__ import annotations

import json
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from keelson.agent.jobs import Job
from keelson.backups.engines import name_of

SECONDS = 10.0  # for one attempt
PAUSES = (1.0, 5.0)  # seconds between attempts
WAITING = 100  # notices at most; a watcher that hangs for longer misses some
TEXT, DOCUMENT = "text/plain; charset=utf-8", "application/json"


@dataclass(frozen=True, slots=True)
class Notice:
    """One request: where to, what is said there, and for which job."""

    job: str
    url: str
    body: bytes
    kind: str = TEXT


def of_begin(job: Job) -> list[Notice]:
    """Return what is to be told when a run begins."""
    return _pings(job, "/start", "")


def of_end(job: Job, error: str, seconds: float, failures: int, begun: float) -> list[Notice]:
    """Return what is to be told when a run has ended: `failures` in a row, this one counted."""
    if not error:
        return _pings(job, "", f"{seconds:.1f} s")
    return [*_pings(job, "/fail", error), *_webhook(job, error, seconds, failures, begun)]


def send(notice: Notice, pauses: tuple[float, ...] = PAUSES) -> str:
    """Tell it, and again where nobody listens; return why it could not be told, in one sentence, else nothing."""
    fault = ""
    for pause in (*pauses, None):
        fault, final = _attempt(notice)
        if not fault or final or pause is None:
            break
        time.sleep(pause)
    where = notice.url.split("/")[2]  # the rest of it may be a key
    return f"{notice.job}: {where} could not be told of a run ({fault})" if fault else ""


class Messenger:
    """Tells notices one after the other in a thread of its own; those that could not be told are `faults`, by where they go."""

    def __init__(self, say: Callable[[str], None], pauses: tuple[float, ...] = PAUSES) -> None:
        self.faults: dict[str, str] = {}
        self._say, self._pauses = say, pauses
        self._queue: queue.Queue[Notice] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None

    def take(self, notices: list[Notice]) -> None:
        """Have notices told; returns at once."""
        for notice in notices:
            try:
                self._queue.put_nowait(notice)
            except queue.Full:
                self._say(f"{notice.job}: too many notices wait, one is dropped")
        if notices and self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait until all has been told that can be."""
        self._queue.join()

    def _work(self) -> None:
        while True:
            notice = self._queue.get()
            where = notice.url.split("/")[2]
            if fault := send(notice, self._pauses):
                self._say(fault)
                self.faults[where] = fault
            else:
                self.faults.pop(where, None)
            self._queue.task_done()


def _pings(job: Job, suffix: str, text: str) -> list[Notice]:
    url = str(job.settings.get("ping") or "").replace("{job}", job.name).rstrip("/")
    return [Notice(job.name, f"{url}{suffix}", text.encode())] if url else []


def _webhook(job: Job, error: str, seconds: float, failures: int, begun: float) -> list[Notice]:
    url = str(job.settings.get("webhook") or "")
    if not url:
        return []
    values = {
        "event": "failed",
        "stack": job.reference.stack,
        "job": job.name,
        "kind": job.kind,
        "of": name_of(job.engine, job.reference),
        "error": error,
        "failures": failures,
        "begun": datetime.fromtimestamp(begun, UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
    }
    return [Notice(job.name, url, json.dumps(values).encode(), DOCUMENT)]


def _attempt(notice: Notice) -> tuple[str, bool]:
    """Return why it failed, and whether another attempt is useless."""
    headers = {"Content-Type": notice.kind, "User-Agent": "keelson"}
    request = urllib.request.Request(notice.url, notice.body, headers, method="POST")  # noqa: S310 - the settings allow http alone
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310
            return "", True
    except urllib.error.HTTPError as fault:
        again = fault.code >= HTTPStatus.INTERNAL_SERVER_ERROR or fault.code == HTTPStatus.TOO_MANY_REQUESTS
        return f"it answers {fault.code}", not again
    except (OSError, ValueError) as fault:
        return str(getattr(fault, "reason", fault)), False
