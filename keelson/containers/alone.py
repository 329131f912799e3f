"""That never two of a part work on one volume, as where a pod was deleted by force and the next one starts beside it."""

from __future__ import annotations

from pathlib import Path

from keelson.containers.model import CONFIG

FILE = "alone.sh"


def alone(volume: str, *command: str) -> tuple[str, ...]:
    """Return the command that becomes `command` as soon as nobody else works on `volume`; `files` must be among the part's."""
    return ("sh", f"{CONFIG}/{FILE}", volume, *command)


def files() -> dict[str, str]:
    """Return the script."""
    return {FILE: Path(__file__).with_name(FILE).read_text(encoding="utf-8")}
