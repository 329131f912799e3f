"""The runs of each job, one line of JSON each: `agent/history/<job>.jsonl` in the stack's state directory."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from keelson import paths
from keelson.agent import state
from keelson.errors import PlatformError

KEPT = 500  # runs of each job
SPARE = 100  # beyond them, until the file is written anew


@dataclass(frozen=True, slots=True)
class Run:
    """One run that ended: times in seconds since 1970, and why it failed, if it did."""

    job: str
    kind: str
    due: float
    begun: float
    ended: float
    seconds: float
    error: str = ""


def keep(key: str, run: Run) -> None:
    """Add a run to those of its job; the oldest beyond `KEPT` go. Raises PlatformError."""
    paths.private_directory(directory(key))
    path = _file(key, run.job)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            file.write(json.dumps(asdict(run)).encode() + b"\n")
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as fault:
        msg = f"cannot write {path}: {fault.strerror}; make room or give write access"
        raise PlatformError(msg) from None
    if len(lines) > KEPT + SPARE:
        paths.write_private(path, b"".join(lines[-KEPT:]).decode())


def read(key: str, job_name: str) -> list[Run]:
    """Return the runs of a job, the newest first; a line that a full disk has cut off is passed over."""
    try:
        lines = _file(key, job_name).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [run for line in reversed(lines) if (run := _run(line))]


def names(key: str) -> list[str]:
    """Return the jobs of which runs are known, those too that are struck out."""
    return sorted(path.stem for path in directory(key).glob("*.jsonl"))


def directory(key: str) -> Path:
    """Return where they are kept."""
    return state.directory(key) / "history"


def _run(line: str) -> Run | None:
    try:
        return Run(**json.loads(line))
    except (ValueError, TypeError):
        return None


def _file(key: str, job_name: str) -> Path:
    return directory(key) / f"{job_name}.jsonl"
