"""The archives of servers on the agent's pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric

from keelson.agent.jobs import ARCHIVE
from keelson.agent.looks import Look
from keelson.agent.loop import View
from keelson.backups.physical import state
from keelson.backups.physical.state import ArchiveState

DEADLINE = 3.0  # seconds for all of them
AT_ONCE = 4

Archives = tuple[ArchiveState, ...]


def look(view: View) -> Archives:
    """Look at the archive of each server that has a job for it."""
    jobs = [each.job for each in view.jobs if each.job.kind == ARCHIVE]
    if not jobs:
        return ()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return tuple(pool.map(state.of_job, jobs))


def page(looked: Look[Archives], view: View) -> list[dict[str, Any]]:
    """Return what /health shows; what does not answer in time is not well."""
    try:
        return [_shown(each) for each in looked.result()]
    except TimeoutError:
        late = f"it could not be looked at within {DEADLINE:.0f} s"
        names = [each.job.reference.server for each in view.jobs if each.job.kind == ARCHIVE]
        return [{"server": name, "well": False, "error": late} for name in names]


def metrics(found: Iterable[ArchiveState]) -> Iterator[Metric]:
    """Give the figures of all that answered."""
    well = GaugeMetricFamily(
        "keelson_archive_well", "Whether nothing is wrong with a server's archive.", labels=["server"]
    )
    waiting = GaugeMetricFamily("keelson_archive_waiting_bytes", "Log that waits for the archive.", labels=["server"])
    exposed = GaugeMetricFamily(
        "keelson_archive_exposed_seconds", "Work that a loss of the server would cost now, at most.", labels=["server"]
    )
    dropped = GaugeMetricFamily(
        "keelson_archive_dropped_files", "Files of the log that were dropped, ever.", labels=["server"]
    )
    last = GaugeMetricFamily(
        "keelson_archive_backup_timestamp_seconds", "Begin of the newest backup.", labels=["server"]
    )
    drilled = GaugeMetricFamily(
        "keelson_archive_drill_timestamp_seconds", "The last drill of the archive.", labels=["server"]
    )
    proven = GaugeMetricFamily("keelson_archive_drill_well", "Whether that found nothing wrong.", labels=["server"])
    took = GaugeMetricFamily(
        "keelson_archive_drill_recovery_seconds", "How long it took until a server was there.", labels=["server"]
    )
    for each in found:
        if each.drilled:
            drilled.add_metric([each.server], each.drilled.timestamp())
            proven.add_metric([each.server], float(each.proven))
            took.add_metric([each.server], each.recovery_seconds or 0.0)
        well.add_metric([each.server], float(not each.fault))
        if each.waiting:
            waiting.add_metric([each.server], each.waiting.bytes)
            exposed.add_metric([each.server], each.waiting.exposed)
            dropped.add_metric([each.server], len(each.waiting.dropped))
        if each.backed_up:
            last.add_metric([each.server], each.backed_up.timestamp())
    if not last.samples and not well.samples:
        return
    yield from (well, waiting, exposed, dropped, last, drilled, proven, took)


def _shown(each: ArchiveState) -> dict[str, Any]:
    told = each.waiting
    return {
        "server": each.server,
        "well": not each.fault,
        "error": each.fault,
        "last_backup": each.backed_up and each.backed_up.isoformat(timespec="seconds"),
        "last_archived": told and told.archived and told.archived.isoformat(timespec="seconds"),
        "waiting_bytes": told and told.bytes,
        "exposed_seconds": told and round(told.exposed),
        "last_drill": each.drilled and each.drilled.isoformat(timespec="seconds"),
        "recovery_seconds": each.recovery_seconds,
    }
