"""Checks of what keeps data whole and files private."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from keelson.postgres.hardening.facts import Facts
from keelson.postgres.hardening.model import Judgement, bad, good, unjudged

PRIVATE = "0700"
FOR_OTHERS = 0o077


def checksums(facts: Facts) -> Judgement:
    """A damaged page is noticed."""
    found = facts.settings["data_checksums"]
    return good(found) if found == "on" else bad("data_checksums is off")


def backups(facts: Facts) -> Judgement:
    """Backups are made in time, and the write-ahead log is archived where that is set up."""
    _, failing, file = facts.archiver
    if failing:
        return bad(f"archiving fails with {file}")
    if facts.expected.backups is None:
        return unjudged("where the backups of a server lie is not known from its URL; name a stack")
    return facts.expected.backups()


def files(facts: Facts) -> Judgement:
    """Nobody else on the machine reads data or passwords."""
    faults = [fault] if (fault := _password_file()) else []
    if (mode := facts.settings.get("data_directory_mode", PRIVATE)) != PRIVATE:
        faults.append(f"the data directory has the mode {mode}")
    if facts.expected.files is None:
        why = "the files of a server that is given by its URL cannot be seen from here; name a stack"
        return bad(*faults) if faults else unjudged(why)
    seen = facts.expected.files()
    return bad(*faults, *seen.faults) if faults else seen


def _password_file() -> str:
    """Return what is wrong with the file in which libpq looks for passwords here."""
    path = Path(os.environ.get("PGPASSFILE") or Path.home() / ".pgpass")
    try:
        found = path.stat()
    except OSError:
        return ""
    if stat.S_ISREG(found.st_mode) and found.st_mode & FOR_OTHERS:
        return f"{path} can be read by others"
    return f"{path} belongs to another user" if found.st_uid != os.getuid() else ""
