"""From one stack to another: whose backup, and the script without which no row of it comes over."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keelson import inside
from keelson.backups.store import Backup, Store
from keelson.cli.context import Context
from keelson.errors import BackupError, SettingsError
from keelson.settings.privacy import read_privacy

SCRIPT = "anonymise.sql"


def backup_of(chosen: Context, stack: str, service: str, identity: str | None) -> Backup:
    """Return a backup of another stack's service, the newest good one where none is named.

    Raises:
        SettingsError: it is this stack, or the project has no such one.
        BackupError: there is none on this machine.
    """
    if stack == chosen.stack_name:
        msg = f"--from-stack names the stack {stack} itself; leave it out, or name the stack to restore to with --stack"
        raise SettingsError(msg)
    other = chosen.project.stack(stack)
    settings = other.settings
    if settings.target != "local" and not settings.backup.directory:
        msg = (
            f"the backups of stack {stack} lie where it runs, on {settings.target}; copy one to this machine and name its directory: "
            f"`keelson restore {service} DIRECTORY --from-stack {stack} --into NAME`"
        )
        raise BackupError(msg)
    return Store(other.key, settings.backup.directory, settings.backup.terms).find(service, identity)


@contextmanager
def script_of(chosen: Context, service: str) -> Iterator[Path]:
    """Give a directory with the service's script alone, which can be sent to where the restore is.

    Raises:
        SettingsError: there is none, or it leaves out a table that the service's privacy.yaml names.
    """
    root, folder = chosen.stack.root, chosen.stack.directory(service)
    path = root / folder / SCRIPT
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        msg = (
            f"there is no {folder / SCRIPT} that can be read, and without it no row of another stack comes over; "
            "write SQL there that makes persons unrecognisable, such as a new email for each row of users"
        )
        raise SettingsError(msg) from None
    privacy = read_privacy(root / folder, root)
    missing = [name for name in (privacy.tables if privacy else ()) if not _names(text, name)]
    if missing:
        msg = f"{folder / SCRIPT} does not name {', '.join(missing)}, which privacy.yaml says hold rows of persons; say there what becomes of them"
        raise SettingsError(msg)
    with tempfile.TemporaryDirectory(prefix="keelson-anonymise-") as directory:
        (Path(directory) / SCRIPT).write_text(text, encoding="utf-8")
        yield Path(directory)


def read_script(directory: Path) -> str:
    """Return what is to be run; raises SettingsError where there is nothing."""
    try:
        text = (directory / SCRIPT).read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = ""
    if not text.strip():
        msg = f"{directory / SCRIPT} holds nothing that can be run; write the SQL that makes persons unrecognisable"
        raise SettingsError(msg)
    return text


def refuse_what_does_not_fit(from_stack: str | None, anonymise: Path | None, into: str | None) -> None:
    """Raise SettingsError where rows of another stack would come otherwise than into a copy."""
    if (from_stack or anonymise) and not into:
        msg = "rows of another stack come into a copy: add --into NAME; `--swap --copy NAME` then puts it in place"
        raise SettingsError(msg)
    if anonymise and not inside.here():
        msg = "--anonymise is for Keelson itself, inside a stack; name the stack with --from-stack"
        raise SettingsError(msg)


def _names(text: str, table: str) -> bool:
    """Say whether SQL names a table outside of its comments."""
    code = re.sub(r"--[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
    return re.search(rf"(?<![\w$]){re.escape(table.rpartition('.')[2])}(?![\w$])", code, re.IGNORECASE) is not None
