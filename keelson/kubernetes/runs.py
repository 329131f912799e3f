"""What became of the runs of a stack's CronJobs, in place of the notes that the agent keeps elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from keelson.agent.state import JobState
from keelson.backups.overview import Kept, Overview
from keelson.errors import SettingsError
from keelson.kubernetes import logs, names, troubles
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.troubles import line, moment
from keelson.schedule import Schedule

BATCH = "batch/v1"
LATE = 300.0  # seconds from when a run is due until it counts as missed
LEAST = 10  # seconds: so often the cluster's controllers look at the latest whether a run is due
SETTLING = 120.0  # seconds that a run's pod may take until it runs


@dataclass(frozen=True)
class Runs:
    """A CronJob and the Jobs that it made, the newest last."""

    cron_job: Json
    jobs: Sequence[Json] = ()

    @property
    def name(self) -> str:
        """The CronJob's name."""
        return str(self.cron_job["metadata"]["name"])

    @property
    def job(self) -> str:
        """The name in the stack of what it does."""
        return str((self.cron_job["metadata"].get("labels") or {}).get(names.JOB_LABEL, self.name))

    @property
    def part(self) -> str:
        """The part that its pods are of."""
        return str((self.cron_job["metadata"].get("labels") or {}).get(names.PART_LABEL, names.JOB))

    @property
    def suspended(self) -> bool:
        """Whether it makes no Jobs."""
        return bool(self.cron_job["spec"].get("suspend"))

    @property
    def running(self) -> Json | None:
        """The newest Job, where that has not ended."""
        return self.jobs[-1] if self.jobs and not _ended(self.jobs[-1]) else None


@dataclass(frozen=True)
class Work:
    """What a CronJob is to do for a database or Redis, and when the newest result of that was begun; None where there is none."""

    noun: str  # backup or drill
    does: str
    name: str
    newest: datetime | None
    runs: Runs | None  # None where the CronJob is missing


def of_stack(cluster: Cluster, key: str) -> Mapping[str, Runs]:
    """Return the CronJobs of a stack by the names of the jobs that they do."""
    chosen = f"{names.STACK_LABEL}={names.stack_label(key)}"
    found = cluster.items(cluster.at("cronjobs", api=BATCH), chosen)
    made = sorted(cluster.items(cluster.at("jobs", api=BATCH)), key=_begun) if found else []
    every = [Runs(each, [job for job in made if _belongs(job, each)]) for each in found]
    return {runs.job: runs for runs in every}


def suspend(cluster: Cluster, key: str, *, suspended: bool) -> None:
    """Have a stack's CronJobs make no Jobs any more, or again."""
    for runs in of_stack(cluster, key).values():
        if runs.suspended != suspended:
            cluster.patch(cluster.at("cronjobs", runs.name, api=BATCH), {"spec": {"suspend": suspended}})


def merged(cluster: Cluster, key: str, known: Overview) -> Overview:
    """Return what is known of backups with what became of the CronJobs' runs, and with what is wrong with these."""
    found, now = of_stack(cluster, key), datetime.now(UTC)
    kept, faults = {}, [*known.faults]
    for name, each in known.kept.items():
        backups, drills = _backups(name, each, found), _drills(name, each, found)
        state, drill_state = (_state(cluster, *each) for each in ((backups, each.state), (drills, each.drill_state)))
        kept[name] = replace(each, state=state, drill_state=drill_state)
        faults += (fault for work in (backups, drills) if work for fault in _faults(cluster, work, now))
    return replace(known, kept=kept, faults=tuple(faults))


def _backups(name: str, kept: Kept, found: Mapping[str, Runs]) -> Work | None:
    return Work("backup", "backs up", name, kept.begun, found.get(kept.job.name)) if kept.job else None


def _drills(name: str, kept: Kept, found: Mapping[str, Runs]) -> Work | None:
    if kept.drill_job is None:
        return None
    return Work("drill", "drills", name, kept.drill.begun if kept.drill else None, found.get(kept.drill_job.name))


def _state(cluster: Cluster, work: Work | None, known: JobState) -> JobState:
    """Return what the cluster knows of a CronJob's runs; what is `known` where there is none."""
    if work is None or work.runs is None:
        return known
    runs = work.runs
    ended = [job for job in runs.jobs if _ended(job)]
    good = [job for job in ended if _ended(job)["type"] == "Complete"]
    last, newest = ended[-1] if ended else {}, runs.jobs[-1] if runs.jobs else {}
    failed = bool(last) and _ended(last)["type"] == "Failed"
    status, spec, counts = runs.cron_job.get("status") or {}, runs.cron_job["spec"], newest.get("status") or {}
    end = moment(_ended(last).get("lastTransitionTime")) if last else 0.0
    return JobState(
        handled=moment(status.get("lastScheduleTime")),
        schedule=f"{spec['schedule']} {spec.get('timeZone', 'UTC')}",
        begun=moment((newest.get("status") or {}).get("startTime")),
        ended=end,
        seconds=max(0.0, end - moment(last["status"].get("startTime"))) if last else 0.0,
        unfinished=runs.running is not None,
        error=_error(cluster, work, runs, last) if failed else "",
        failures=len(ended) - ended.index(good[-1]) - 1 if good else len(ended),
        attempts=sum(int(counts.get(each) or 0) for each in ("succeeded", "failed", "active")),
        succeeded=max(
            [moment(status.get("lastSuccessfulTime")), *(moment(job["status"].get("completionTime")) for job in good)]
        ),
    )


def _error(cluster: Cluster, work: Work, runs: Runs, job: Json) -> str:
    """Return why a Job failed: what its last pod says, else what the cluster says."""
    ended = _ended(job)
    if ended.get("reason") == "DeadlineExceeded":
        limit = job["spec"].get("activeDeadlineSeconds")
        by_hand = "keelson backup run" if work.noun == "backup" else "keelson backup drill"
        return f"it was not done within {limit} s, and was ended; run `{by_hand}` and see what takes so long"
    pod = _pod(cluster, job)
    return (pod and _told(cluster, runs, pod)) or line(ended.get("message") or ended.get("reason"))


def _told(cluster: Cluster, runs: Runs, pod: Json) -> str:
    status = pod.get("status") or {}
    if status.get("reason"):
        return f"its pod was taken away ({line(status['reason'])}: {line(status.get('message'))})"
    for each in status.get("containerStatuses") or ():
        ended = (each.get("state") or {}).get("terminated") or {}
        if ended.get("reason") == troubles.OUT_OF_MEMORY:
            return f"{troubles.WANTS_MEMORY}; {troubles.MORE_MEMORY}"
    return logs.last_line(cluster, pod, besides=f"{runs.job}: ")  # its steps


def _faults(cluster: Cluster, work: Work, now: datetime) -> Iterator[str]:
    """Give what keeps a CronJob from doing its work."""
    runs, name, does = work.runs, work.name, work.does
    if runs is None:
        yield f"the CronJob that {does} {name} is missing in namespace {cluster.namespace}; run `keelson up -- --refresh`"
    elif runs.suspended:
        yield f"the CronJob {runs.name} is suspended, so nothing {does} {name}; run `keelson start`"
    elif (seconds := runs.cron_job["spec"].get("startingDeadlineSeconds", LEAST)) < LEAST:
        need = "which is less than the cluster's controllers need"
        yield f"the CronJob {runs.name} gives its runs {seconds} s to begin, {need}; run `keelson up -- --refresh`"
    elif due := _missed(runs, work.newest, now):
        yield f"the {work.noun} of {name} that was due at {due:%Y-%m-%d %H:%M} UTC was not begun: {_reason(cluster, runs)}"
    elif stuck := _stuck(cluster, runs, now):
        yield f"the {work.noun} of {name} does not begin: {stuck}"


def _missed(runs: Runs, newest: datetime | None, now: datetime) -> datetime | None:
    """Return when the last run was due, where it was not begun, and no result is younger."""
    spec, status = runs.cron_job["spec"], runs.cron_job.get("status") or {}
    try:
        schedule = Schedule(spec["schedule"], spec.get("timeZone") or "UTC", by_the_wall=True)
    except SettingsError:  # somebody wrote there what Keelson does not
        return None
    due = schedule.before(datetime.fromtimestamp(now.timestamp() - LATE, UTC))
    handled = max(moment(status.get("lastScheduleTime")), moment(runs.cron_job["metadata"]["creationTimestamp"]))
    made = newest.timestamp() if newest else 0.0
    return due if due.timestamp() > max(handled, made) else None


def _reason(cluster: Cluster, runs: Runs) -> str:
    look = f"see `{cluster.kubectl(f'describe cronjob {runs.name}')}`"
    if runs.running:
        return f"the run of {runs.running['status'].get('startTime', 'before')} has not ended; {look}"
    said = next(troubles.warnings(cluster, runs.name), "the cluster's controllers did not do it in time")
    return f"{said}; {look}"


def _stuck(cluster: Cluster, runs: Runs, now: datetime) -> str:
    """Return why the pod of a run does not run; nothing where all is well, or it is too early to say."""
    if runs.running is None or now.timestamp() - moment((runs.running.get("status") or {}).get("startTime")) < SETTLING:
        return ""
    pod = _pod(cluster, runs.running)
    if pod is None:
        return str(troubles.refused(cluster, runs.running["metadata"]["name"]) or "")
    if (pod.get("status") or {}).get("phase") != "Pending":
        return ""
    return str(troubles.of_pod(cluster, runs.part, pod))


def _pod(cluster: Cluster, job: Json) -> Json | None:
    """Return the newest pod of a Job."""
    found = cluster.items(cluster.at("pods"), f"batch.kubernetes.io/job-name={job['metadata']['name']}")
    return max(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)


def _belongs(job: Json, cron_job: Json) -> bool:
    owners = job["metadata"].get("ownerReferences") or ()
    return any(owner["uid"] == cron_job["metadata"]["uid"] for owner in owners)


def _begun(job: Json) -> str:
    return str(job["metadata"]["creationTimestamp"])


def _ended(job: Json) -> Json:
    """Return the condition with which a Job has ended; nothing of one that has not."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return next(
        (each for each in conditions if each["type"] in {"Complete", "Failed"} and each["status"] == "True"), {}
    )
