"""A kind of job for tests: what it does stands in its settings, and it notes each run in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from keelson.agent.jobs import Job
from keelson.agent.kinds import Figures
from keelson.errors import BackupError

FOREVER = 600


def run(job: Job) -> Figures | None:
    notes, do = Path(job.settings["notes"]), job.settings.get("do", "")
    _note(notes, f"begun {job.name}")
    sys.stdout.write(f"hello from {job.name}\n")
    sys.stdout.flush()
    half = notes.with_suffix(".half")
    half.touch()
    try:
        _do(do, notes)
    finally:
        half.unlink()
    _note(notes, f"ended {job.name}")
    return {"bytes": 4711}


def _do(do: str, notes: Path) -> None:
    if do == "fail" and not notes.with_suffix(".well").exists():
        msg = "the disk is full; make room"
        raise BackupError(msg)
    if do == "break":
        raise ZeroDivisionError
    if do == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if do == "leave":
        subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({FOREVER})", str(notes)])
    if do in ("hang", "stubborn"):
        _note(notes, f"hangs {os.getpid()}")
        while not notes.with_suffix(".go").exists():
            time.sleep(0.01)


def _note(notes: Path, text: str) -> None:
    with notes.open("a") as file:
        file.write(f"{text}\n")
