"""Whose fields are whose, as the API server notes it in `managedFields`."""

from __future__ import annotations

from typing import Any

from plugin.wire import Bag

from .objects import metadata

CREATOR = "pulumi-kubernetes"  # the manager of a create, which is no apply; the first update takes its fields over
FORMER = frozenset(
    {
        ("kubectl", "Apply"),
        ("kubectl", "Update"),
        ("before-first-apply", "Update"),
        (CREATOR, "Update"),
        ("pulumi-kubernetes.exe", "Update"),
        ("pulumi-resource-kubernetes", "Update"),
    }
)


def taken_over(live: Bag, manager: str) -> list[Bag] | None:
    """Return the patch that gives `manager` what a create and kubectl applied, None if there is none of that."""
    entries = metadata(live).get("managedFields") or []
    ours: Bag = next((each for each in entries if (each["manager"], each["operation"]) == (manager, "Apply")), {})
    former = [each for each in entries if (each["manager"], each["operation"]) in FORMER and "subresource" not in each]
    if not former:
        return None
    fields = dict(ours.get("fieldsV1", {}))
    for each in former:
        fields = _union(fields, each.get("fieldsV1", {}))
    mine = (ours or former[0]) | {"manager": manager, "operation": "Apply", "fieldsV1": fields}
    kept = [each for each in entries if each not in former and each is not ours]
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": [*kept, mine]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
    ]


def _union(one: Bag, other: Bag) -> Bag:
    return {**one, **{key: _union(one.get(key, {}), each) for key, each in other.items()}}


def is_created_only(live: Bag) -> bool:
    """Tell whether a create of a plugin owns fields still: then a dry run must force what the update takes over."""
    names = {name for name, operation in FORMER if operation == "Update" and name.startswith("pulumi")}
    entries = metadata(live).get("managedFields") or []
    return any(each["operation"] == "Update" and each["manager"] in names for each in entries)


def left_alone(inputs: Bag, live: Bag, manager: str, ignored: list[str]) -> Bag:
    """Return the inputs with what is to be ignored as it is: without others' fields, and with the live value of ours."""
    for path in ignored:
        words = path.split(".")
        entries = metadata(live).get("managedFields") or []
        others = any(_owns(each, words) for each in entries if each["manager"] != manager)
        mine = any(_owns(each, words) for each in entries if each["manager"] == manager)
        if others and not mine:
            inputs = _without(inputs, words)
        elif (found := _at(live, words)) is not None:
            inputs = _with(inputs, words, found)
    return inputs


def _owns(entry: Bag, words: list[str]) -> bool:
    return _at(entry.get("fieldsV1", {}), [f"f:{word}" for word in words]) is not None


def _at(value: Any, words: list[str]) -> Any:
    for word in words:
        value = value.get(word) if isinstance(value, dict) else None
    return value


def _without(value: Bag, words: list[str]) -> Bag:
    first, rest = words[0], words[1:]
    if first not in value:
        return value
    if rest and isinstance(value[first], dict):
        return value | {first: _without(value[first], rest)}
    return {key: each for key, each in value.items() if key != first}


def _with(value: Bag, words: list[str], found: Any) -> Bag:
    first, rest = words[0], words[1:]
    return value | {first: _with(value.get(first) or {}, rest, found) if rest else found}
