"""Pulumi's dictionaries as typed values.

All numbers arrive as floats, tuples as lists, keys whose value is None not at all.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")

PROVIDER_KEY = "__provider"


def without_provider(bag: Mapping[str, Any]) -> dict[str, Any]:
    """Return `bag` without the key that Pulumi adds for itself."""
    return {key: value for key, value in bag.items() if key != PROVIDER_KEY}


def plain(value: object) -> object:
    """Return `value` in one form for comparisons: whole floats as integers, tuples as lists, no None in dictionaries."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def at(bag: Mapping[str, Any], path: str) -> object:
    """Return what stands at the dotted `path` in nested dictionaries, None where nothing does."""
    found: Any = bag
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return plain(found)


def decode(kind: type[T], bag: Mapping[str, Any]) -> T:
    """Return the dataclass `kind` with its fields from `bag`; keys that it does not know are left out."""
    hints = get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: _cast(hints[key], value) for key, value in bag.items() if key in known and value is not None})


def _cast(hint: Any, value: Any) -> Any:  # noqa: ANN401 - one return per kind of type
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {types.UnionType, typing.Union}:
        return _cast(next(kind for kind in arguments if kind is not type(None)), value)
    if origin is tuple:
        return tuple(_cast(arguments[0], item) for item in value)
    if origin in {dict, collections.abc.Mapping}:
        return {key: _cast(arguments[1], item) for key, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return decode(hint, value)
    if hint in {int, str, bool}:
        return hint(value)
    return value
