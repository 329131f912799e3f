"""Receipts of what was exported and erased, which name nobody: a person stands in them as a salted hash.

They lie outside of all databases, `<directory>/<time>-<action>-<mark>.json`, beside the salt; whoever has both can tell whether a
given id was erased, and nobody can tell an id from them alone.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import json
import secrets
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from keelson import paths
from keelson.errors import PrivacyError

if TYPE_CHECKING:
    from keelson.privacy.erasing import Step

FORMAT = 1
SALT = "salt"
SALT_BYTES = 32
MARK = 16  # hex digits of the mark in a file's name


class Receipt:
    """One receipt, written anew whenever something is done."""

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        self.path = path
        self.values = dict(values)

    @property
    def databases(self) -> dict[str, Any]:
        """What was done in each database."""
        return dict(self.values["databases"])

    @property
    def is_finished(self) -> bool:
        """Whether all databases are done."""
        return self.values["finished"] is not None

    def begin(self, database: str, steps: Sequence[Step]) -> None:
        """Note what is about to be done: so the numbers are known if the run is killed before it can note what was."""
        if database not in self.databases or any(step.is_left for step in steps):
            self._note(database, {"state": "begun", "at": now(), "tables": _tables(steps)})

    def done(self, database: str, steps: Sequence[Step]) -> None:
        """Note what was done; where nothing was left to do, what stands there already was."""
        tables = _tables(steps) if any(step.is_left for step in steps) else self.databases[database]["tables"]
        self._note(database, {"state": "done", "at": now(), "tables": tables})

    def finish(self, **more: object) -> None:
        """Note that all is done."""
        self.values |= {"finished": now(), **more}
        self.write()

    def write(self) -> None:
        """Write it, down to the disk; raises PlatformError."""
        paths.write_private(self.path, json.dumps(self.values, indent=1, ensure_ascii=False) + "\n")

    def _note(self, database: str, entry: Mapping[str, object]) -> None:
        self.values["databases"] = {**self.databases, database: dict(entry)}
        self.write()


class Receipts:
    """The receipts of one stack in a directory, which is made with mode 0700."""

    def __init__(self, directory: Path, stack: str) -> None:
        self.directory = paths.private_directory(directory)
        self.stack = stack
        self._salt = self._find_salt()

    def mark(self, person: str) -> str:
        """Return what stands for a person: a keyed SHA-256 of the id."""
        return hmac.new(self._salt, canonical(person).encode(), hashlib.sha256).hexdigest()

    def new(self, action: Literal["export", "erase"], person: str, **more: object) -> Receipt:
        """Begin a receipt."""
        mark, at = self.mark(person), datetime.now(UTC)
        who = f"{getpass.getuser()}@{socket.gethostname()}"
        values = {"format": FORMAT, "action": action, "stack": self.stack, "person": mark, "by": who}
        path = self.directory / f"{at:%Y%m%dT%H%M%S.%fZ}-{action}-{mark[:MARK]}.json"
        receipt = Receipt(path, {**values, "begun": now(), "finished": None, "databases": {}, **more})
        receipt.write()
        return receipt

    def resume(self, person: str) -> Receipt | None:
        """Return the receipt of an erasure of the person that did not come to its end."""
        mark = self.mark(person)
        return next(
            (each for each in self.all("erase") if each.values["person"] == mark and not each.is_finished), None
        )

    def erased(self) -> set[str]:
        """Return the marks of all whose erasure was begun."""
        return {str(each.values["person"]) for each in self.all("erase")}

    def all(self, action: str = "*") -> Iterator[Receipt]:
        """Yield the receipts, the oldest first; raises PrivacyError where one cannot be read."""
        for path in sorted(self.directory.glob(f"*-{action}-*.json")):
            try:
                yield Receipt(path, json.loads(path.read_bytes()))
            except (OSError, ValueError) as fault:
                msg = f"the receipt {path} cannot be read: {fault}; put it back from a backup of its directory"
                raise PrivacyError(msg) from None

    def _find_salt(self) -> bytes:
        path = self.directory / SALT
        if not path.exists():
            if any(self.directory.glob("*-erase-*.json")):
                msg = f"{path} is missing, without which the receipts beside it say nothing; put it back from a backup of its directory"
                raise PrivacyError(msg)
            paths.write_private(path, secrets.token_hex(SALT_BYTES) + "\n")
        return bytes.fromhex(path.read_text(encoding="ascii").strip())


def canonical(person: str) -> str:
    """Return an id as a database writes it: a UUID has one form of several."""
    try:
        return str(uuid.UUID(person))
    except ValueError:
        return person


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _tables(steps: Sequence[Step]) -> dict[str, dict[str, object]]:
    return {
        step.table: {"action": step.action, "rows": step.rows, **({"because": step.because} if step.because else {})}
        for step in steps
    }
