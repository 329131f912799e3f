"""Values as they travel between engine and plugin."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format, struct_pb2

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"  # the engine's mark of a value that a preview cannot know
MARK = "4dabf18193072939515e22adb298388d"  # the key that says what a value is, where it is more than a value
SECRET = "1b47061264138c4ac30d75fd1eb44270"

Bag = dict[str, Any]


def bag(struct: struct_pb2.Struct) -> Bag:
    """Return a message's values."""
    return dict(whole(json_format.MessageToDict(struct)))


def struct(values: Bag) -> struct_pb2.Struct:
    """Return values as a message."""
    made = struct_pb2.Struct()
    made.update(values)
    return made


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


def is_secret(value: Any) -> bool:
    """Tell whether the value as a whole is secret."""
    return isinstance(value, dict) and value.get(MARK) == SECRET


def holds_secret(value: Any) -> bool:
    """Tell whether the value or one inside it is secret."""
    if isinstance(value, dict):
        return is_secret(value) or any(map(holds_secret, value.values()))
    return isinstance(value, list) and any(map(holds_secret, value))


def secret(value: Any) -> Any:
    """Return the value, marked as secret."""
    return value if is_secret(value) else {MARK: SECRET, "value": value}


def plain(value: Any) -> Any:
    """Return the value without marks."""
    if is_secret(value):
        return plain(value.get("value"))
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value
