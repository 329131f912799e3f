"""The project that a command is run in: its root, its name, and what its stack files say, read without the engine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keelson.errors import SettingsError
from keelson.settings.document import read_mapping
from keelson.settings.stack import Stack, read_stack

PROJECT_FILE = "Pulumi.yaml"


@dataclass(frozen=True)
class Project:
    """A folder with a Pulumi.yaml."""

    root: Path
    name: str
    backend: str | None  # the backend that Pulumi.yaml names

    def stack(self, name: str) -> Stack:
        """Return the settings of stack `name`; secrets in its file stay encrypted and are left out.

        Raises:
            SettingsError: there is no such stack file, or a key is wrong.
        """
        path = self.root / f"Pulumi.{name}.yaml"
        config = _keys(path, "config")
        return read_stack({key: _text(value) for key, value in config.items()}, self.name, name, self.root)

    def stack_names(self) -> list[str]:
        """Return the names of the stacks that have a file."""
        return sorted(
            path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in self.root.glob("Pulumi.*.yaml")
        )


def find_project(start: Path | None = None) -> Project:
    """Return the project whose folder holds `start` (the working directory by default)."""
    start = start or Path.cwd()
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return _read(folder)
    msg = f"no {PROJECT_FILE} in {start} or above; change to the project's folder"
    raise SettingsError(msg)


def _read(folder: Path) -> Project:
    values = _mapping(folder / PROJECT_FILE)
    if not isinstance(values.get("name"), str):
        msg = f"{PROJECT_FILE}: the setting 'name' is missing; add the project's name"
        raise SettingsError(msg)
    return Project(root=folder, name=values["name"], backend=_keys(folder / PROJECT_FILE, "backend").get("url"))


def _mapping(path: Path) -> dict[str, Any]:
    step = f"write it in {path.parent}, or pick another stack with -s"
    return read_mapping(path, path.name, when_missing=step)


def _keys(path: Path, key: str) -> dict[str, Any]:
    """Return the keys below `key` of a file, none where it does not stand there."""
    found = _mapping(path).get(key) or {}
    if not isinstance(found, dict):
        msg = f"{path.name}: the setting {key!r} must hold keys such as `name: value`; correct it"
        raise SettingsError(msg)
    return found


def _text(value: object) -> str:
    """Return a value as the engine would hand it to the program, without the secrets in it."""
    if _secret(value):
        return "{}"
    return json.dumps(_without_secrets(value)) if isinstance(value, dict | list | bool) else str(value)


def _without_secrets(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_secrets(inner) for key, inner in value.items() if not _secret(inner)}
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value if not _secret(inner)]
    return value


def _secret(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {"secure"}
