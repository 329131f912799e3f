"""What the SDK's classes say about a resource's inputs: names, types, which are required."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pulumi import _types

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # the engine's mark of a value that a preview cannot know
DEFAULTS = "__defaults"  # where the bridge notes which inputs it filled in
DURATION = r"^(0|([0-9.]+(ns|us|µs|ms|s|m|h))+)$"
PATTERNS = {  # of the Terraform provider, by the last word of a path
    "restart": r"^(no|on-failure|always|unless-stopped)$",
    "permissions": r"^(0[0-7]{3}|[rwm]+)$",
    "cpuSet": r"^\d+([,-]\d+)*$",
    "type": r"^(bind|volume|tmpfs|mount|block)$",
    "interval": DURATION,
    "timeout": DURATION,
    "startPeriod": DURATION,
    "startInterval": DURATION,
}
SCALARS = {str: "string", bool: "boolean", int: "integer", float: "number"}


@dataclasses.dataclass(frozen=True)
class Shape:
    """One input's type: a scalar's name, `list` or `map` with an element, or `object` with fields."""

    kind: str
    element: Shape | None = None
    fields: Mapping[str, Shape] = dataclasses.field(default_factory=dict)
    required: frozenset[str] = frozenset()


@functools.cache
def shape_of(arguments: type) -> Shape:
    """Return the shape of one of the SDK's Args classes; names are Pulumi's."""
    fields = {name: _shape(annotation) for name, annotation in _types.input_type_types(arguments).items()}
    names = _types.input_type_py_to_pulumi_names(arguments)
    parameters = list(inspect.signature(arguments).parameters.values())
    required = frozenset(names.get(each.name, each.name) for each in parameters if each.default is each.empty)
    return Shape("object", fields=fields, required=required)


def _shape(annotation: Any) -> Shape:
    origin = typing.get_origin(annotation)
    if origin is typing.Union:
        return _shape(next(each for each in typing.get_args(annotation) if each is not type(None)))
    if origin is not None and issubclass(origin, Mapping):
        return Shape("map", _shape(typing.get_args(annotation)[1]))
    if origin is not None and issubclass(origin, Sequence):
        return Shape("list", _shape(typing.get_args(annotation)[0]))
    if annotation in SCALARS:
        return Shape(SCALARS[annotation])
    return shape_of(annotation)


def faults(shape: Shape, value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, reason) for all that is wrong with a value."""
    if value is None or value == UNKNOWN:
        return
    if not _fits(shape.kind, value):
        yield path, f"expected {shape.kind} type, got {_name(value)} type"
    elif shape.kind == "string" and not re.search(pattern := PATTERNS.get(path.rpartition(".")[2], ""), value):
        yield path, f"'{value}' doesn't match the pattern '{pattern}'"
    elif shape.kind == "list":
        for index, each in enumerate(value):
            yield from faults(_element(shape), each, f"{path}[{index}]")
    elif shape.kind == "map":
        for key, each in value.items():
            yield from faults(_element(shape), each, _below(path, key))
    elif shape.kind == "object":
        yield from _object_faults(shape, value, path)


def _object_faults(shape: Shape, value: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for name in sorted(shape.required):
        if value.get(name) is None:
            yield _below(path, name), "Missing required argument"
    for name, each in value.items():
        if name in shape.fields:
            yield from faults(shape.fields[name], each, _below(path, name))
        elif name != DEFAULTS:
            yield _below(path, name), "Invalid or unknown key"


def _fits(kind: str, value: Any) -> bool:
    if kind == "integer":
        return isinstance(value, float | int) and not isinstance(value, bool) and value == int(value)
    expected = {"string": str, "boolean": bool, "number": float, "list": list, "map": dict, "object": dict}
    return isinstance(value, expected[kind])


def _name(value: Any) -> str:
    names = {str: "string", bool: "boolean", float: "number", int: "number", list: "list", dict: "object"}
    return names[type(value)]


def _element(shape: Shape) -> Shape:
    assert shape.element
    return shape.element


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def whole(value: Any) -> Any:
    """Return the value with its whole numbers as integers: on the wire all numbers are floats."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: whole(each) for key, each in value.items()}
    return [whole(each) for each in value] if isinstance(value, list) else value


def holds_unknown(value: Any) -> bool:
    """Tell whether the value or one inside it is not known yet."""
    if isinstance(value, dict):
        return any(map(holds_unknown, value.values()))
    return any(map(holds_unknown, value)) if isinstance(value, list) else value == UNKNOWN
