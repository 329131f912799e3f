"""YAML files of settings, each fault one sentence that names file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from keelson.errors import SettingsError


def read_mapping(path: Path, source: str, *, when_missing: str) -> dict[str, Any]:
    """Return the keys of a file; `source` names it in messages, `when_missing` is the next step where there is none.

    Raises:
        SettingsError: the file is missing, cannot be read, or holds no keys.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        msg = f"{source} is missing; {when_missing}"
        raise SettingsError(msg) from None
    except UnicodeDecodeError as fault:
        msg = f"{source} is not UTF-8 (byte {fault.start}); save it as UTF-8"
        raise SettingsError(msg) from None
    except OSError as fault:
        msg = f"{source} cannot be read: {fault.strerror}; make it a file that you can read"
        raise SettingsError(msg) from None
    return parse_mapping(text, source)


def parse_mapping(text: str, source: str) -> dict[str, Any]:
    """Return the keys of a YAML text, none for an empty one.

    Raises:
        SettingsError: it is no YAML, or something else than keys.
    """
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        msg = f"{source}{line}: not YAML: {getattr(fault, 'problem', 'cannot be read')}; correct it"
        raise SettingsError(msg) from None
    if not isinstance(loaded, dict | None):
        msg = f"{source} must hold keys such as `name: value`; correct it"
        raise SettingsError(msg)
    return loaded or {}
