"""What an SDK's classes say about a resource's inputs: names, types, which are required."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import typing
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Any

import pulumi
from pulumi import _types

from .wire import UNKNOWN

DEFAULTS = "__defaults"  # where the bridge notes which inputs it filled in
SCALARS = {str: "string", bool: "boolean", int: "integer", float: "number"}
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "number": (float, int),
    "list": list,
    "map": dict,
    "object": dict,
}


@dataclasses.dataclass(frozen=True)
class Shape:
    """One input's type: a scalar's name, `any`, `list` or `map` with an element, `object` of a class, `choice`."""

    kind: str
    element: Shape | None = None
    arguments: type | None = None
    choices: tuple[Shape, ...] = ()

    @functools.cached_property
    def fields(self) -> Mapping[str, Shape]:
        """The fields by their names in Pulumi; looked up when asked for, as classes may hold themselves."""
        annotations = _types.input_type_types(self.arguments) if self.arguments else {}
        return {name: _shape(annotation) for name, annotation in annotations.items()}

    @functools.cached_property
    def required(self) -> frozenset[str]:
        """The fields that must be there."""
        if not self.arguments:
            return frozenset()
        names = _types.input_type_py_to_pulumi_names(self.arguments)
        parameters = inspect.signature(self.arguments).parameters.values()
        return frozenset(names.get(each.name, each.name) for each in parameters if each.default is each.empty)


@functools.cache
def shape_of(arguments: type) -> Shape:
    """Return the shape of one of the SDK's Args classes."""
    return Shape("object", arguments=arguments)


def _shape(annotation: Any) -> Shape:
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union:
        given = [each for each in inside if not _is_promise(each)]
        return _shape(given[0]) if len(given) == 1 else Shape("choice", choices=tuple(map(_shape, given)))
    if origin in {Mapping, dict}:
        return Shape("map", _shape(inside[1]))
    if origin in {Sequence, list}:
        return Shape("list", _shape(inside[0]))
    if annotation in SCALARS or origin is typing.Literal:
        return Shape(SCALARS.get(annotation, "string"))
    return Shape("any") if annotation is Any else shape_of(annotation)


def _is_promise(annotation: Any) -> bool:
    return annotation is type(None) or typing.get_origin(annotation) in {Awaitable, pulumi.Output}


def faults(
    shape: Shape, value: Any, path: str = "", patterns: Mapping[str, str] | None = None
) -> Iterator[tuple[str, str]]:
    """Yield (path, reason) for all that is wrong with a value; patterns are by the last word of a path."""
    if value is None or value == UNKNOWN or shape.kind == "any":
        return
    patterns = patterns or {}
    if not _fits(shape, value):
        yield path, f"expected {_expected(shape)} type, got {_name(value)} type"
    elif shape.kind == "string" and not re.search(pattern := patterns.get(path.rpartition(".")[2], ""), value):
        yield path, f"'{value}' doesn't match the pattern '{pattern}'"
    elif shape.kind == "choice":
        yield from _choice_faults(shape, value, path, patterns)
    elif shape.kind == "list":
        for index, each in enumerate(value):
            yield from faults(_element(shape), each, f"{path}[{index}]", patterns)
    elif shape.kind == "map":
        for key, each in value.items():
            yield from faults(_element(shape), each, _below(path, key), patterns)
    elif shape.kind == "object":
        yield from _object_faults(shape, value, path, patterns)


def _choice_faults(shape: Shape, value: Any, path: str, patterns: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    found = [list(faults(each, value, path, patterns)) for each in shape.choices if _fits(each, value)]
    yield from min(found, key=len)


def _object_faults(
    shape: Shape, value: Mapping[str, Any], path: str, patterns: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for name in sorted(shape.required):
        if value.get(name) is None:
            yield _below(path, name), "Missing required argument"
    for name, each in value.items():
        if name in shape.fields:
            yield from faults(shape.fields[name], each, _below(path, name), patterns)
        elif name != DEFAULTS:
            yield _below(path, name), "Invalid or unknown key"


def _fits(shape: Shape, value: Any) -> bool:
    if shape.kind == "choice":
        return any(_fits(each, value) for each in shape.choices)
    if shape.kind == "any":
        return True
    is_number = isinstance(value, float | int) and not isinstance(value, bool)
    if shape.kind in {"integer", "number"}:
        return is_number and (shape.kind == "number" or value == int(value))
    return isinstance(value, TYPES[shape.kind])


def _expected(shape: Shape) -> str:
    return " or ".join(map(_expected, shape.choices)) if shape.choices else shape.kind


def _name(value: Any) -> str:
    names = {str: "string", bool: "boolean", float: "number", int: "number", list: "list", dict: "object"}
    return names[type(value)]


def _element(shape: Shape) -> Shape:
    assert shape.element
    return shape.element


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
