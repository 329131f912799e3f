"""What a snapshot holds, in which form it compares, and the digits that stand for it."""

from __future__ import annotations

import functools
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import NamedTuple

Facts = Mapping[str, str]

DIGITS = 12
NOT_COMPARED = frozenset({"position", "arguments", "result", "language", "version"})
"""Told for documentation alone: a column's place, what a definition says too, and what the server's packages decide."""

_GENERATED = re.compile(r"_(pkey|key|fkey|check|excl|idx|not_null)\d*$")
_LONGEST_BEGINNING = 29  # bytes of a table's name that a generated name keeps, where its columns' names are long
_GROUPS = {
    "constraint": "constraints",
    "index": "indexes",
    "trigger": "triggers",
    "policy": "policies",
    "dimension": "hypertables",
    "hypertable": "hypertables",
    "compression": "hypertables",
    "continuous": "hypertables",
    "job": "hypertables",
}
_KINDS = {
    "table": "tables",
    "foreign table": "tables",
    "view": "views",
    "materialized view": "views",
    "function": "functions",
    "procedure": "functions",
    "aggregate": "functions",
    "type": "types",
    "sequence": "sequences",
    "schema": "schemas",
    "extension": "extensions",
    "job": "hypertables",
    "default privileges": "grants",
    "role": "roles",
    "database": "database",
}


class Key(NamedTuple):
    """What names an object: its kind, and its name with the schema."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Part:
    """Something of an object that compares as a whole, such as a column; `label` is what it is called."""

    label: str
    facts: Facts


@dataclass(frozen=True)
class Snapshot:
    """A catalog.

    Attributes:
        objects: The parts of each object by their labels, such as `column email`; its own facts are those of the part "".
        server_version: For example 170011.
    """

    objects: Mapping[Key, Mapping[str, Facts]]
    server_version: int

    @cached_property
    def comparable(self) -> Mapping[Key, Mapping[str, Part]]:
        """The same by what makes two parts one: their labels, but for names that PostgreSQL has chosen."""
        return {key: _identified(key, parts) for key, parts in self.objects.items()}

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """Digits for each group of facts (tables, columns' included; indexes; grants; …) that the catalog has."""
        lines: dict[str, list[str]] = defaultdict(list)
        for group, line in _lines(self.comparable):
            lines[group].append(line)
        return {group: _digits("\n".join(sorted(found))) for group, found in sorted(lines.items())}

    @property
    def fingerprint(self) -> str:
        """The sha256 of all that compares."""
        text = "\n".join(sorted(line for _, line in _lines(self.comparable)))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def form(self) -> str:
        """What else decides a fingerprint: digits of the questions asked, the server's major version, TimescaleDB's version."""
        timescale = self.objects.get(Key("extension", "timescaledb"), {}).get("", {}).get("version", "")
        return "/".join(filter(None, (form_of_questions(), str(self.server_version // 10_000), timescale)))

    def without(self, *keys: Key, kinds: tuple[str, ...] = ()) -> Snapshot:
        """Return the snapshot without some objects."""
        left = {key: parts for key, parts in self.objects.items() if key not in keys and key.kind not in kinds}
        return Snapshot(left, self.server_version)


def group_of(kind: str, label: str, fact: str) -> str:
    """Return what people call the group that a fact belongs to."""
    if fact == "owner" or fact.startswith("grants to "):
        return "grants"
    if not label and fact == "row security":
        return "policies"
    return _GROUPS.get(label.partition(" ")[0], _KINDS.get(kind, "others"))


def compared(facts: Facts) -> dict[str, str]:
    """Return the facts that count in a comparison."""
    return {name: value for name, value in facts.items() if name not in NOT_COMPARED}


def _identified(key: Key, parts: Mapping[str, Facts]) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for label, facts in sorted(parts.items()):
        identity = _identity(key, label, facts)
        while identity in found:
            identity += " (again)"
        found[identity] = Part(label, compared(facts))
    return found


def _identity(key: Key, label: str, facts: Facts) -> str:
    """A constraint or index whose name PostgreSQL has chosen is known by its definition."""
    kind, _, name = label.partition(" ")
    if kind not in {"constraint", "index"} or not _is_generated(key.name, name):
        return label
    return f"{kind} {facts.get('definition', '')}"


def _is_generated(table: str, name: str) -> bool:
    beginning = table.rpartition(".")[2].strip('"')[:_LONGEST_BEGINNING]
    return name.strip('"').startswith(f"{beginning}_") and _GENERATED.search(name.strip('"')) is not None


def _lines(objects: Mapping[Key, Mapping[str, Part]]) -> Iterator[tuple[str, str]]:
    """Yield a line for each object, part and fact, with the group that it belongs to."""
    for key, parts in objects.items():
        for identity, part in parts.items():
            yield group_of(key.kind, part.label, ""), repr((*key, identity))
            for fact, value in part.facts.items():
                yield group_of(key.kind, part.label, fact), repr((*key, identity, fact, value))


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


@functools.cache
def form_of_questions() -> str:
    """Return digits for how a catalog is asked and written down; other ones make other fingerprints of the same catalog."""
    folder = resources.files(__package__)
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return _digits("".join(folder.joinpath(name).read_text(encoding="utf-8") for name in (*names, "model.py")))
