"""Differences as people read them: object by object, a line for each, `-` for what is missing and `+` for what is too much."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator, Mapping

from keelson.postgres.snapshot.difference import Difference, in_a_line
from keelson.postgres.snapshot.model import Facts

INDENT = "    "


def as_text(differences: Iterable[Difference]) -> str:
    """Return the differences as lines; empty where there are none."""
    groups = itertools.groupby(differences, key=lambda difference: (difference.kind, difference.name))
    return "".join(f"{line}\n" for (kind, name), members in groups for line in _object(kind, name, list(members)))


def _object(kind: str, name: str, differences: list[Difference]) -> Iterator[str]:
    first = differences[0]
    whole = not first.part and not first.fact
    yield f"{first.sign if whole else '~'} {kind} {name}"
    for difference in differences:
        yield from (INDENT + line for line in (_whole(first) if whole else _one(difference)))


def _whole(difference: Difference) -> Iterator[str]:
    facts = difference.found if difference.expected is None else difference.expected
    if isinstance(facts, Mapping):
        yield from _listed(difference.sign, facts)


def _listed(sign: str, facts: Facts) -> Iterator[str]:
    for name, value in facts.items():
        lines = value.strip().splitlines() or [""]
        yield f"{sign} {name}: {lines[0]}" if len(lines) == 1 else f"{sign} {name}:"
        if len(lines) > 1:
            yield from (f"{sign} {INDENT}{line}" for line in lines)


def _one(difference: Difference) -> Iterator[str]:
    part, expected, found = difference.part, difference.expected, difference.found
    if not difference.fact:
        facts = found if expected is None else expected
        said = in_a_line(facts) if isinstance(facts, Mapping) else ""
        yield f"{difference.sign} {part}: {said}" if said else f"{difference.sign} {part}"
        return
    what = f"{part}: {difference.fact}" if part else difference.fact
    yield from _changed(what, str(expected or ""), str(found or ""))


def _changed(what: str, expected: str, found: str) -> Iterator[str]:
    if "\n" not in expected.strip() + found.strip():
        yield f"~ {what}: {expected or '(none)'} -> {found or '(none)'}"
        return
    yield f"~ {what}:"
    told = difflib.unified_diff(expected.strip().splitlines(), found.strip().splitlines(), lineterm="", n=1)
    yield from (f"{INDENT}{line}" for line in itertools.islice(told, 2, None))
