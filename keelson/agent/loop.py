"""Which job is due, and its run.

Runs of a stack go one after the other: a backup keeps a core of the server and one of the client busy, and two at once would
take a small machine from the applications, and make each other slower than they are in turn.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from keelson.agent import child, history, jobs, notices, state
from keelson.agent.child import Child, Outcome
from keelson.agent.history import Run
from keelson.agent.jobs import Job
from keelson.agent.notices import Messenger
from keelson.agent.state import JobState
from keelson.errors import KeelsonError

PAUSES = (60.0, 300.0, 1500.0)  # seconds from a failure to the next attempt; then the schedule counts
LIMIT = 4 * 3600.0  # seconds that a run may take, unless the job's settings say otherwise (`time_limit`)
LEEWAY = 60.0  # seconds by which a clock may be set back without a second look at what was due


@dataclass(frozen=True)
class JobView:
    """A job, what became of it, and when it comes next (seconds since 1970)."""

    job: Job
    state: JobState
    next_due: float
    running: bool


@dataclass(frozen=True)
class View:
    """The loop at one moment; threads may look at it."""

    jobs: tuple[JobView, ...] = ()
    faults: tuple[str, ...] = ()
    beat: float = 0  # time.monotonic() of the last step


class Entry:
    """A job in the loop."""

    def __init__(self, job: Job, known: JobState, written: float, now: float) -> None:
        self.job = job
        self.window = float(job.settings.get("window") or 0)
        self._spread = offset(job)
        schedule = f"{job.schedule} {job.time_zone}"
        handled = max(known.handled, _registered(job, now) if known.handled or not job.settings.get("at_once") else 0)
        if known.schedule and known.schedule != schedule:  # what the new schedule had been due before was not missed
            handled = max(handled, written)
        self.known = replace(known, handled=handled or self._start(now), schedule=schedule)
        self.changed = self.known != known
        self.next_due = self._after(self.known.handled)

    def _start(self, now: float) -> float:
        """Return from when on a job that nobody knows of is due: from now, or a moment before it was due last."""
        if not self.job.settings.get("at_once"):
            return now
        return self.job.due.before(datetime.fromtimestamp(now, UTC)).timestamp() - 1

    def keep_in_time(self, now: float) -> None:
        """Follow a clock that was set back, so that nothing waits for the time that it showed before."""
        if self.known.handled > now + LEEWAY:
            self.remember(replace(self.known, handled=now))

    def due(self, now: float) -> float | None:
        """Return the time for which the job must run now, None if it must not."""
        if now >= self.next_due:
            moment = datetime.fromtimestamp(now - self._spread, UTC)
            return self.job.due.before(moment.replace(microsecond=moment.microsecond or 1)).timestamp()
        if self.known.unfinished or self._wants_another_attempt(now):
            return self.known.handled
        return None

    def miss(self, now: float) -> float | None:
        """Give up what is due and can no longer begin in its window; return the time that it was due, None where nothing is given up."""
        due = self.due(now)
        if due is None or not self.window or now - due - self._spread <= self.window:
            return None
        if due == self.known.handled and not self.known.unfinished:  # another attempt of a run that is told already
            self.remember(replace(self.known, attempts=len(PAUSES) + 1))
            return None
        self.remember(replace(self.known, handled=due, unfinished=False, attempts=len(PAUSES) + 1))
        return due

    def remember(self, known: JobState) -> None:
        """Take over what has become of the job."""
        self.known, self.changed = known, True
        self.next_due = self._after(known.handled)

    def _wants_another_attempt(self, now: float) -> bool:
        if not self.known.error or self.known.attempts > len(PAUSES):
            return False
        since = now - self.known.ended
        return since >= PAUSES[self.known.attempts - 1] or since < -LEEWAY

    def _after(self, moment: float) -> float:
        return self.job.due.after(datetime.fromtimestamp(moment, UTC)).timestamp() + self._spread


def _registered(job: Job, now: float) -> float:
    return job.registered if job.registered <= now else 0


class Loop:
    """The jobs of one stack; `step` is called again and again by one thread and returns at once.

    Args:
        key: the stack's key.
        clock: the time in seconds since 1970.
        command: the program of a run.
    """

    def __init__(self, key: str, clock: Callable[[], float] = time.time, command: Sequence[str] = child.RUN) -> None:
        self.view = View()
        self._key, self._clock, self._command = key, clock, command
        self._entries: dict[str, Entry] = {}
        self._seen: object = None
        self._running: tuple[Entry, Child] | None = None
        self._faults: dict[str, str] = {}
        self.messenger = Messenger(say)

    def step(self) -> None:
        """Read jobs that changed, see whether a run has ended, begin one that is due, and say how things are."""
        now = self._clock()
        self._reload(now)
        for entry in self._entries.values():
            if not self._runs(entry):
                entry.keep_in_time(now)
        self._finish(now)
        self._miss(now)
        if not self._running:
            self._begin(now)
        for entry in self._entries.values():
            self._write(entry)
        self._show()

    def end(self) -> None:
        """End what runs, and wait for it; it counts as not done."""
        if self._running:
            self._running[1].end()
            self._running[1].wait()

    def _reload(self, now: float) -> None:
        files = {}
        for path in jobs.files(self._key):
            with contextlib.suppress(FileNotFoundError):  # taken away in between
                files[path] = path.stat()
        seen = {path: (stat.st_mtime_ns, stat.st_ino, stat.st_size) for path, stat in files.items()}
        if seen == self._seen:
            return
        self._seen = seen
        found, faults = jobs.read(self._key)
        written = {path.stem: stat.st_mtime for path, stat in files.items()}
        self._faults = {fault: fault for fault in faults}
        self._entries = {job.name: self._entry(job, written.get(job.name, now), now) for job in found}

    def _entry(self, job: Job, written: float, now: float) -> Entry:
        old = self._entries.get(job.name)
        if old and old.job == job:
            return old
        known = old.known if old else state.read(self._key, job.name)
        entry = Entry(job, known, written, now)
        if self._running and self._running[0] is old:
            self._running = (entry, self._running[1])
        return entry

    def _finish(self, now: float) -> None:
        if self._running and (outcome := self._running[1].outcome()):
            entry, self._running = self._running[0], None
            _report(entry, outcome)
            entry.remember(_after_run(entry.known, outcome, now))
            self._keep(entry, outcome, now)
            self._write(entry)  # be it that the job is struck out meanwhile

    def _miss(self, now: float) -> None:
        for name, entry in self._entries.items():
            if self._runs(entry) or (due := entry.miss(now)) is None:
                continue
            moment = datetime.fromtimestamp(due, UTC)
            error = f"it was due at {moment:%Y-%m-%d %H:%M:%S} UTC and could not begin in its window of {entry.window / 3600:g} h"
            say(f"{name}: {error}")
            entry.remember(_after_run(entry.known, Outcome(error, 0), now))
            self._keep(entry, Outcome(error, 0), now)

    def _keep(self, entry: Entry, outcome: Outcome, now: float) -> None:
        """Tell others how a run ended, and note it; a full disk is no reason to stop."""
        job, known = entry.job, entry.known
        begun = known.begun if outcome.seconds else now
        self.messenger.take(notices.of_end(job, outcome.error, outcome.seconds, known.failures, begun))
        try:
            history.keep(self._key, Run(job.name, job.kind, known.handled, begun, now, outcome.seconds, outcome.error))
        except KeelsonError as fault:
            say(str(fault))

    def _begin(self, now: float) -> None:
        waiting = [(due, name) for name, entry in self._entries.items() if (due := entry.due(now)) is not None]
        if not waiting:
            return
        due, name = min(waiting)
        entry = self._entries[name]
        attempts = entry.known.attempts + 1 if due == entry.known.handled else 1
        entry.remember(replace(entry.known, handled=due, attempts=attempts, begun=now, unfinished=True))
        self._write(entry)
        say(f"{name}: begun, due {datetime.fromtimestamp(due, UTC):%Y-%m-%d %H:%M:%S} UTC")
        try:
            limit = float(entry.job.settings.get("time_limit", LIMIT))
            self._running = (entry, Child(self._key, name, limit, self._command))
            self.messenger.take(notices.of_begin(entry.job))
        except (OSError, ValueError, TypeError) as fault:
            outcome = Outcome(f"it cannot be started ({fault}); free processes or memory", 0)
            _report(entry, outcome)
            entry.remember(_after_run(entry.known, outcome, now))
            self._keep(entry, outcome, now)

    def _write(self, entry: Entry) -> None:
        """Keep what is known; a full disk is no reason to stop."""
        about = f"state of {entry.job.name}"
        if not entry.changed:
            return
        try:
            state.write(self._key, entry.job.name, entry.known)
            entry.changed = False
            self._faults.pop(about, None)
        except KeelsonError as fault:
            if about not in self._faults:
                say(str(fault))
            self._faults[about] = str(fault)

    def _runs(self, entry: Entry) -> bool:
        return self._running is not None and self._running[0] is entry

    def _show(self) -> None:
        views = [JobView(each.job, each.known, each.next_due, self._runs(each)) for each in self._entries.values()]
        self.view = View(tuple(views), (*self._faults.values(), *self.messenger.faults.values()), time.monotonic())


def offset(job: Job) -> float:
    """Return how many seconds after its time a job begins: always the same for it, another for each within `spread`."""
    spread = float(job.settings.get("spread") or 0)
    digest = hashlib.sha256(f"{job.reference.stack} {job.name}".encode()).digest()
    return round(spread * int.from_bytes(digest[:4]) / 2**32)


def _after_run(known: JobState, outcome: Outcome, now: float) -> JobState:
    ended = replace(known, ended=now, seconds=outcome.seconds, unfinished=False, error=outcome.error)
    if outcome.error:
        return replace(ended, failures=known.failures + 1)
    return replace(ended, failures=0, attempts=0, succeeded=now, figures=outcome.figures)


def _report(entry: Entry, outcome: Outcome) -> None:
    say(f"{entry.job.name}: {outcome.error or 'done'} ({outcome.seconds:.1f} s)")


def say(text: str) -> None:
    """Write a line to the agent's log; one that cannot be written is lost."""
    try:
        print(text, flush=True)  # noqa: T201 - the agent's log
    except OSError:
        return
