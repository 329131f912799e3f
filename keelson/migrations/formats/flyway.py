"""Flyway: `V1.2__x.sql`, `R__x.sql` (repeatable) and `U1.2__x.sql` (undo), in folders too, with `.conf` files and placeholders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from keelson.errors import MigrationError
from keelson.migrations.files import MigrationFile, list_names, relative
from keelson.migrations.formats.directory import (
    Directory,
    refuse_twins,
    with_rising_versions,
    without_transaction_where_alone,
    words,
)
from keelson.migrations.parts import Part

NAME = "flyway"
EXAMPLE = "V1.2__add_users.sql or R__views.sql"
_NAME = re.compile(
    r"(?:(?P<kind>[VUB])(?P<version>[0-9]+(?:[._][0-9]+)*)(?:__(?P<words>.*))?|(?P<repeatable>R)__(?P<title>.*))\.(?P<type>sql|java|class|kt|py|ps1|sh)"
)
_CALLBACK = re.compile(r"(?:(?:before|after)[A-Z][A-Za-z]*|createSchema)(?:__.*)?\.(?:sql|java|class)")
_PLACEHOLDER = re.compile(rb"\$\{([^}\n]+)\}")
_CONF = ".conf"
_YES = {"true": True, "false": False}


def detect(directory: Directory) -> bool:
    """Say whether a file is Flyway's, in the directory or a folder of it."""
    return any(_NAME.fullmatch(name) for name in directory.names) or any(
        _NAME.fullmatch(name.rpartition("/")[2]) for name in _below(directory.path, directory.root, directory.names)
    )


def version_of(name: str) -> tuple[int, ...] | None:
    """Return the version that a file's name says, None for what is repeatable: 1.0 is 1."""
    match = _NAME.fullmatch(name.rpartition("/")[2])
    return _version(match["version"]) if match and match["version"] else None


def read(directory: Directory) -> tuple[MigrationFile, ...]:
    """Return the versioned migrations in order, then the repeatable ones by their descriptions.

    Raises:
        MigrationError: as reading a directory does, and for what is not supported, by name.
    """
    reading = _Reading(directory, [*_all_names(directory)])
    undos: dict[tuple[int, ...], _File] = {}
    for file in reading.of("U"):
        if (other := undos.setdefault(file.version, file)) is not file:
            directory.refuse(other.name, f"and {file.name} have the same version; give one of them another")
    versioned = sorted(reading.of("V"), key=lambda file: file.version)
    for file in undos.values():
        if all(file.version != other.version for other in versioned):
            directory.refuse(file.name, "undoes a version that no file has; restore that file or delete this one")
    files = [reading.migration(file, undos.get(file.version)) for file in versioned]
    refuse_twins(directory, files, lambda file: version_of(file.name))
    repeatable = sorted(reading.of("R"), key=lambda file: file.description)
    return with_rising_versions([*files, *(reading.migration(file, None) for file in repeatable)])


@dataclass(frozen=True, slots=True)
class _File:
    """What a file's name says."""

    name: str
    kind: str
    version: tuple[int, ...]
    description: str


class _Reading:
    """The names of a directory, told apart."""

    def __init__(self, directory: Directory, names: list[str]) -> None:
        self._directory = directory
        self._confs = {name for name in names if name.endswith(".sql" + _CONF)}
        for conf in self._confs:
            if conf.removesuffix(_CONF) not in names:
                directory.refuse(conf, "configures a file that is missing; restore that file or delete this one")
        self._files = [self._file(name) for name in names if name not in self._confs]

    def of(self, kind: str) -> list[_File]:
        return [file for file in self._files if file.kind == kind]

    def migration(self, file: _File, undo: _File | None) -> MigrationFile:
        number = file.version[0] if len(file.version) == 1 else None
        up, back = self._part(file), self._part(undo) if undo else None
        return MigrationFile.of(file.name, number, file.description, up, back, repeatable=file.kind == "R")

    def _file(self, name: str) -> _File:
        base = name.rpartition("/")[2]
        if _CALLBACK.fullmatch(base):
            why = "is a callback of Flyway, which is not run here; write it as a repeatable migration, or move it elsewhere"
            self._directory.refuse(name, why)
        match = _NAME.fullmatch(base)
        if match is None:
            why = f"is no migration's name of {NAME}; name it like {EXAMPLE}, or move it elsewhere"
            self._directory.refuse(name, why)
        if match["type"] != "sql":
            self._directory.refuse(
                name, "is a migration in another language than SQL, which cannot be run here; write it as SQL"
            )
        if match["kind"] == "B":
            why = (
                "is a baseline migration of Flyway, which is not supported: a database either runs all files or begins at one;"
                " move it elsewhere, and begin by `keelson migrate baseline`"
            )
            self._directory.refuse(name, why)
        version = _version(match["version"]) if match["version"] else ()
        return _File(name, match["kind"] or "R", version, words(match["words"] or match["title"]))

    def _part(self, file: _File) -> Part:
        conf = _Configuration(self._directory, file.name + _CONF if file.name + _CONF in self._confs else "")
        part = self._directory.part(file.name)
        buffer, start, end = part.open()
        if conf.replaces and _PLACEHOLDER.search(buffer, start, end):
            part = replace(part, written=_filled(part, self._directory.placeholders))
        return replace(part, transaction=False) if not conf.transaction else without_transaction_where_alone(part)


class _Configuration:
    """What a file beside a script says of it; an empty name is none."""

    def __init__(self, directory: Directory, name: str) -> None:
        self._directory, self._name = directory, name
        for key, value in self._values.items():
            if key == "encoding" and value.upper().replace("-", "") != "UTF8":
                directory.refuse(name, f"says that the file is {value}; save it as UTF-8 and take the line out")
            if key not in ("encoding", "executeInTransaction", "placeholderReplacement"):
                directory.refuse(name, f"has the key {key!r}, which is not supported; take it out")

    @property
    def transaction(self) -> bool:
        return self._says("executeInTransaction")

    @property
    def replaces(self) -> bool:
        return self._says("placeholderReplacement")

    def _says(self, key: str) -> bool:
        value = self._values.get(key, "true").lower()
        if value not in _YES:
            self._directory.refuse(self._name, f"must say true or false for {key!r}, not {value!r}")
        return _YES[value]

    @cached_property
    def _values(self) -> dict[str, str]:
        text = self._directory.part(self._name).text() if self._name else ""
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
        pairs = [line.partition("=") for line in lines]
        return {key.strip().removeprefix("flyway."): value.strip() for key, _, value in pairs}


def _version(text: str) -> tuple[int, ...]:
    numbers = [int(number) for number in re.split(r"[._]", text)]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _all_names(directory: Directory) -> Iterable[str]:
    yield from (name for name in directory.migrations if not (directory.path / name).is_dir())
    yield from _below(directory.path, directory.root, directory.migrations)


def _below(path: Path, root: Path | None, names: Iterable[str]) -> Iterable[str]:
    """Yield the files in folders, as Flyway looks into them, with the folders' names."""
    for name in names:
        if "." not in name and (path / name).is_dir():
            inner = list_names(path / name, relative(path / name, root))
            yield from (f"{name}/{each}" for each in inner if not (path / name / each).is_dir())
            yield from (f"{name}/{each}" for each in _below(path / name, root, inner))


def _filled(part: Part, placeholders: Mapping[str, str]) -> str:
    known = {name.lower(): value for name, value in placeholders.items()}
    text = part.text()

    def value(match: re.Match[str]) -> str:
        found = known.get(match[1].lower())
        if found is None:
            line = text.count("\n", 0, match.start()) + 1
            msg = (
                f"{part.source}:{line}: nothing is said for the placeholder {match[0]};"
                f" give it a value by the setting 'migrations.placeholders.{match[1]}'"
            )
            raise MigrationError(msg)
        return found

    return re.sub(_PLACEHOLDER.pattern.decode(), value, text)
