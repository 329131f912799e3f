"""The program squawk: one process looks at many files, and says what it finds as JSON."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from keelson.errors import PlatformError
from keelson.migrations.lint.reading import Reading
from keelson.migrations.lint.rules import OF_SQUAWK

UNREAD = "syntax-error"  # what squawk calls SQL that its own grammar does not know
DEADLINE = 120.0  # s; a file takes it about a millisecond


@dataclass(frozen=True, slots=True)
class Found:
    """What squawk found at a place: line and byte of it, from 0."""

    rule: str
    line: int
    column: int


def look(readings: Sequence[Reading], rules: Collection[str], version: str) -> list[list[Found]]:
    """Return what squawk finds in each file, by these rules; `version` is the server's, such as `17`.

    Raises:
        PlatformError: squawk is missing, or does not work.
    """
    found: list[list[Found]] = [[] for _ in readings]
    with tempfile.TemporaryDirectory(prefix="keelson-lint-") as folder:
        for transaction in (True, False):
            chosen = {
                f"{number}.sql": number for number, reading in enumerate(readings) if reading.transaction is transaction
            }
            for name, number in chosen.items():
                Path(folder, name).write_text(readings[number].text, encoding="utf-8")
            options = [*_options(folder, rules, version), *(["--assume-in-transaction"] if transaction else [])]
            for finding in _run(folder, [*options, *chosen]) if chosen else ():
                place = Found(str(finding["rule_name"]), int(str(finding["line"])), int(str(finding["column"])))
                found[chosen[str(finding["file"])]].append(place)
    return found


def _options(folder: str, rules: Collection[str], version: str) -> list[str]:
    settings = Path(folder, "squawk.toml")
    settings.touch()  # else squawk would look for one in the folders above
    options = ["--reporter", "json", "--config", str(settings), "--pg-version", f"{version.partition('.')[0]}.0"]
    switches = {"--include": OF_SQUAWK & set(rules), "--exclude": OF_SQUAWK - set(rules)}
    return [*options, *(f"{switch}={','.join(sorted(names))}" for switch, names in switches.items() if names)]


def _run(folder: str, arguments: Sequence[str]) -> list[dict[str, object]]:
    command = [_program(), *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        msg = f"squawk looked at the migrations for more than {DEADLINE:.0f} s; try again when this machine has less to do"
        raise PlatformError(msg) from None
    try:
        return list(json.loads(done.stdout or b"[]")) if done.returncode in {0, 1} else _fail(done)
    except ValueError:
        return _fail(done)


def _fail(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, object]]:
    said = done.stderr.decode(errors="replace").strip().splitlines()
    msg = f"squawk ended with status {done.returncode}: {said[0] if said else 'it said nothing'}; run `make setup` and try again"
    raise PlatformError(msg)


def _program() -> str:
    """Return where squawk lies: beside the Python that runs this, or on PATH."""
    beside = Path(sys.executable).with_name("squawk")
    if beside.exists():
        return str(beside)
    if found := shutil.which("squawk"):
        return found
    msg = "squawk, which looks at migrations, is missing; `make setup` installs it"
    raise PlatformError(msg)
