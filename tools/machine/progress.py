"""What the set-up tells its user, and how it runs long commands: quietly, with a log and a sign of life."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from keelson.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SIGN_OF_LIFE = 15.0  # seconds between two lines of a long step
LAST_LINES = 12  # of a log, shown after a failure


def say(text: str) -> None:
    """Print one step."""
    print(f"==> {text}", flush=True)


def detail(text: str) -> None:
    """Print something about the current step."""
    print(f"    {text}", flush=True)


def run(  # noqa: PLR0913 - what a command is: its words, its surroundings, its name
    command: Sequence[str | Path],
    *,
    log: Path,
    what: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    progress: Callable[[], str] = lambda: "",
) -> None:
    """Run `command` with its output in `log`, printing a line with `progress()` every 15 seconds.

    Raises:
        PlatformError: the command failed; its text ends with the log's last lines.
    """
    began = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env, cwd=cwd,
        )  # fmt: skip
        try:
            while not _ended(process):
                detail(f"{time.monotonic() - began:4.0f} s  {progress()}".rstrip())
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        raise PlatformError(_failure(what, log))


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(SIGN_OF_LIFE)
    except subprocess.TimeoutExpired:
        return False
    return True


def _failure(what: str, log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    return "\n".join(
        [f"{what} failed; the whole output is in {log}, its last lines are:", *(f"    {line}" for line in lines)]
    )
