"""Alembic: its own SQL, as `alembic upgrade base:heads --sql` writes it, cut where a revision begins.

The files are Python and are run by the project's own program; what they write must not depend on a database.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keelson.errors import MigrationError
from keelson.migrations import grammar
from keelson.migrations.files import MigrationFile, relative
from keelson.migrations.formats.directory import Directory
from keelson.migrations.parts import Part, reading

NAME = "alembic"
EXAMPLE = "versions/1975ea83b712_add_users.py, beside env.py"
DEADLINE = 300.0  # s
_RUNNING = re.compile(r"^-- Running (?:upgrade|downgrade) (?P<before>.*?)-> ?(?P<after>.*)$", re.MULTILINE)
_REVISION = re.compile(r"^revision(?::[^=\n]*)?\s*=\s*['\"](?P<revision>[^'\"]+)['\"]", re.MULTILINE)
_DOCSTRING = re.compile(r"\A\s*(?:'''|\"\"\"|['\"])(?P<line>[^\n'\"]*)")
_VERSION_TABLE = re.compile(r"CREATE TABLE (?P<table>\S+) \(\s*version_num\b")
_TRANSACTION = re.compile(r"(?:BEGIN|COMMIT)\b[^;]*", re.IGNORECASE)
_USUAL_TABLE = "alembic_version"


def detect(directory: Directory) -> bool:
    """Say whether the directory is Alembic's."""
    return "env.py" in directory.names and bool({"versions", "script.py.mako"} & set(directory.names))


def read(directory: Directory) -> tuple[MigrationFile, ...]:
    """Return the revisions in the order in which Alembic runs them; raises MigrationError where its program fails."""
    program = _Program(directory)
    ups = program.pieces("upgrade", "base:heads")
    heads = {piece.revision for piece in ups} - {parent for piece in ups for parent in piece.parents}
    downs = {}
    if len(heads) == 1:  # with several, Alembic cannot write the way back
        found = program.pieces("downgrade", f"{heads.pop()}:base", may_fail=True)
        downs = {piece.parents[0]: piece for piece in found if piece.parents}
    sources = _sources(directory)
    return tuple(_migration(directory, piece, downs.get(piece.revision), sources) for piece in ups)


def parents(directory: Directory) -> dict[str, tuple[str, ...]]:
    """Return the revisions that each revision stands on; raises MigrationError where the program fails."""
    return {piece.revision: piece.parents for piece in _Program(directory).pieces("upgrade", "base:heads")}


@dataclass(frozen=True, slots=True)
class _Piece:
    """What Alembic writes for one revision: its SQL without transactions and without the rows of its own ledger."""

    revision: str
    parents: tuple[str, ...]
    sql: str
    transaction: bool


class _Program:
    """The project's own Alembic."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        ini = _find_ini(directory)
        self._folder = ini.parent if ini else directory.root or directory.path
        self._command = [*directory.program] or ["alembic", *(["-c", str(ini)] if ini else [])]
        self._table = _USUAL_TABLE

    def pieces(self, verb: str, revisions: str, *, may_fail: bool = False) -> list[_Piece]:
        """Return what it writes, revision by revision; with `may_fail` what it wrote before it failed."""
        text, failed = self._run([verb, revisions, "--sql"], may_fail=may_fail)
        if found := _VERSION_TABLE.search(text):
            self._table = found["table"]
        marks = [*_RUNNING.finditer(text)]
        ends = [mark.start() for mark in marks[1:]] + [len(text)]
        bodies = [text[mark.end() : end] for mark, end in zip(marks, ends, strict=True)]
        if bodies:
            bodies[0] = text[: marks[0].start()] + bodies[0]
        pieces = [self._piece(mark, body) for mark, body in zip(marks, bodies, strict=True)]
        return pieces[:-1] if failed else pieces

    def _piece(self, mark: re.Match[str], body: str) -> _Piece:
        found = [*self._statements(body)]
        noted = max((place for place, text in enumerate(found) if self._is_of_its_ledger(text)), default=len(found))
        commits = any(text.upper().startswith("COMMIT") for text in found[:noted])  # what follows is of all revisions
        statements = [text for text in found if not _TRANSACTION.fullmatch(text) and not self._is_of_its_ledger(text)]
        before = tuple(part.strip() for part in mark["before"].split(",") if part.strip())
        text = "".join(f"{statement};\n\n" for statement in statements)
        return _Piece(mark["after"].strip(), before, text, transaction=not commits)

    def _statements(self, body: str) -> Iterator[str]:
        data = body.encode()
        try:
            yield from (data[start:end].decode().strip() for start, end in grammar.places(data))
        except grammar.GrammarError as fault:
            msg = f"{self._directory.source}: what Alembic writes is no SQL: {fault.message}; correct the revision"
            raise MigrationError(msg) from None

    def _is_of_its_ledger(self, statement: str) -> bool:
        verb = r"(?:CREATE TABLE|DROP TABLE|INSERT INTO|UPDATE|DELETE FROM)\s+"
        return re.match(verb + re.escape(self._table) + r"(?![\w.])", statement) is not None

    def _run(self, arguments: Sequence[str], *, may_fail: bool) -> tuple[str, bool]:
        command = [*self._command, *arguments]
        shown = " ".join(command)
        environment: Mapping[str, str] = os.environ | {"PYTHONIOENCODING": "utf-8"}
        try:
            done = subprocess.run(
                command, cwd=self._folder, env=environment, capture_output=True, timeout=DEADLINE, check=False
            )
        except OSError as fault:
            msg = (
                f"{self._directory.source}: `{shown}` cannot be run: {fault.strerror};"
                " name the program by the setting 'migrations.program'"
            )
            raise MigrationError(msg) from None
        except subprocess.TimeoutExpired:
            msg = f"{self._directory.source}: `{shown}` took longer than {DEADLINE:.0f} s; see what it waits for"
            raise MigrationError(msg) from None
        if done.returncode and not may_fail:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            msg = f"{self._directory.source}: `{shown}` failed: {said[-1] if said else 'without a word'}; correct it"
            raise MigrationError(msg)
        return done.stdout.decode(errors="replace").replace("\r\n", "\n"), bool(done.returncode)


def _find_ini(directory: Directory) -> Path | None:
    """Return the nearest alembic.ini, in the directory or above it but not above the project."""
    path = directory.path.resolve()
    for folder in (path, *path.parents):
        if (folder / "alembic.ini").is_file():
            return folder / "alembic.ini"
        if directory.root and folder == directory.root.resolve():
            return None
    return None


def _sources(directory: Directory) -> dict[str, tuple[Path, str]]:
    """Return the file of each revision, and the first line of its docstring."""
    found = {}
    for path in sorted(directory.path.rglob("*.py")):
        with reading(relative(path, directory.root)):
            text = path.read_text(encoding="utf-8", errors="replace")
        if match := _REVISION.search(text):
            described = _DOCSTRING.match(text)
            found[match["revision"]] = (path, described["line"].strip() if described else "")
    return found


def _migration(
    directory: Directory, up: _Piece, down: _Piece | None, sources: Mapping[str, tuple[Path, str]]
) -> MigrationFile:
    path, description = sources.get(up.revision, (directory.path / up.revision, ""))
    source = f"{relative(path, directory.root)} (its SQL)"

    def part(piece: _Piece) -> Part:
        return Part(path, source, written=piece.sql, transaction=piece.transaction, is_foreign=True)

    return MigrationFile.of(up.revision, None, description, part(up), part(down) if down else None)
