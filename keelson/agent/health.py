"""/health: whether all is as it should be, by part and by job."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from keelson.agent import archives
from keelson.agent.looks import Look
from keelson.agent.loop import LIMIT, JobView, View
from keelson.errors import KeelsonError
from keelson.target import Part

STANDSTILL = 60.0  # seconds without a step of the loop
DEADLINE = 4.0  # seconds for all parts together

Parts = tuple[Part, ...]


class Health:
    """The page of one stack."""

    def __init__(self, key: str, parts: Look[Parts], view: Callable[[], View], kept: Look[archives.Archives]) -> None:
        self._key, self._parts, self._view, self._archives = key, parts, view, kept

    def page(self) -> dict[str, Any]:
        """Return what /health shows; `well` says whether all is as it should be."""
        self._archives.begin()
        parts, fault = self._look_at_parts()
        view = self._view()
        faults = [*([fault] if fault else []), *view.faults, *([] if moves(view) else ["the schedule stands still"])]
        shown, jobs = [_part(part) for part in parts], [_job(job) for job in view.jobs]
        kept = archives.page(self._archives, view)
        return {
            "well": not faults and all(each["well"] for each in [*shown, *jobs, *kept]),
            "stack": self._key,
            "faults": faults,
            "parts": shown,
            "jobs": jobs,
            **({"archives": kept} if kept else {}),
        }

    def _look_at_parts(self) -> tuple[Parts, str]:
        try:
            return self._parts.result(), ""
        except TimeoutError:
            return (), f"the parts could not be looked at within {DEADLINE:.0f} s; run `keelson status`"
        except KeelsonError as fault:
            return (), str(fault)


def moves(view: View) -> bool:
    """Return whether the schedule is kept."""
    return time.monotonic() - view.beat < STANDSTILL


def _part(part: Part) -> dict[str, Any]:
    well = (part.answering and not part.degraded) or part.starting
    return {"name": part.name, "kind": part.kind, "well": well, "port": part.port, "detail": part.detail}


def _job(view: JobView) -> dict[str, Any]:
    known, late = view.state, _late(view)
    return {
        "name": view.job.name,
        "kind": view.job.kind,
        "well": not known.error and not late,
        "error": known.error or late,
        "failures": known.failures,
        "running": view.running,
        "last_success": _when(known.succeeded),
        "last_end": _when(known.ended),
        "seconds": round(known.seconds, 3),
        "next_due": _when(view.next_due),
        "schedule": view.job.schedule,
        "time_zone": view.job.time_zone,
    }


def _late(view: JobView) -> str:
    """Say so if a job that is due waits for others beyond all patience."""
    if view.running or time.time() - view.next_due < LIMIT:
        return ""
    return "it is due and waits for another job to end; see `jobs` for the one that runs"


def _when(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None
