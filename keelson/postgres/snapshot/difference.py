"""What differs between two catalogs, object by object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from keelson.postgres.snapshot.deparsed import as_restored
from keelson.postgres.snapshot.model import Facts, Key, Part, Snapshot, group_of

NOTHING: Mapping[str, Part] = {}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that one of two catalogs has and the other has not, or has otherwise.

    Attributes:
        kind: The object's kind.
        name: The object's name with its schema.
        part: What of it, such as `column email`; empty for the object itself.
        fact: Which of its attributes; empty where the whole object or part is missing on one side.
        expected: What it should be: the fact's value, or all facts of what is missing in the other; None: it should not be.
        found: What it is; None: it is not there.
    """

    kind: str
    name: str
    part: str
    fact: str
    expected: str | Facts | None
    found: str | Facts | None

    @property
    def sign(self) -> str:
        """`-` for what should be there and is not, `+` for what should not be and is, `~` for what is otherwise."""
        if self.fact:
            return "~"
        return "-" if self.found is None else "+" if self.expected is None else "~"

    @property
    def group(self) -> str:
        """What people call the group that it belongs to, such as `indexes`."""
        return group_of(self.kind, self.part, self.fact)

    def as_json(self) -> dict[str, object]:
        """Return the difference for programs."""
        return {"sign": self.sign, **asdict(self)}


def compare(expected: Snapshot, found: Snapshot) -> tuple[Difference, ...]:
    """Return what differs, in the order of kinds and names; how an expression is written down after a restore is no difference."""
    expected, found = as_restored(expected), as_restored(found)
    keys = sorted(expected.comparable.keys() | found.comparable.keys())
    return tuple(difference for key in keys for difference in _compare_objects(key, expected, found))


def _compare_objects(key: Key, expected: Snapshot, found: Snapshot) -> Iterator[Difference]:
    before, after = expected.comparable.get(key, NOTHING), found.comparable.get(key, NOTHING)
    if not before or not after:
        yield Difference(*key, "", "", _whole(before), _whole(after))
        return
    for identity in sorted(before.keys() | (after.keys() - (twins := _twins(before, after)).keys())):
        twin = next((name for name, known in twins.items() if known == identity), None)
        if twin:
            yield _another_name(key, before[identity], after[twin])
        else:
            yield from _compare_parts(key, before.get(identity), after.get(identity))


def _whole(parts: Mapping[str, Part]) -> Facts | None:
    """Return an object's own facts, and its parts in a line each."""
    if not parts:
        return None
    own = parts[""].facts if "" in parts else {}
    return {**own, **{part.label: in_a_line(part.facts) for part in parts.values() if part.label}}


def in_a_line(facts: Facts) -> str:
    """Return facts as one phrase."""
    told = {name: value for name, value in facts.items() if not name.startswith("grants to ")}
    main = [told.pop(name) for name in ("type", "definition") if name in told]
    return ", ".join([*main, *(f"{name} {value}" for name, value in told.items())])


def _twins(before: Mapping[str, Part], after: Mapping[str, Part]) -> dict[str, str]:
    """Return what is a constraint or index under another name only: {identity after: identity before}."""
    left = [identity for identity in before if identity not in after]
    twins: dict[str, str] = {}
    for identity in after:
        if identity not in before:
            twin = next((known for known in left if _is_renamed(before[known], after[identity])), None)
            if twin is not None:
                left.remove(twin)
                twins[identity] = twin
    return twins


def _is_renamed(one: Part, other: Part) -> bool:
    kinds = {part.label.partition(" ")[0] for part in (one, other)}
    return len(kinds) == 1 and kinds <= {"constraint", "index"} and one.facts == other.facts


def _another_name(key: Key, before: Part, after: Part) -> Difference:
    return Difference(*key, before.label, "name", before.label.partition(" ")[2], after.label.partition(" ")[2])


def _compare_parts(key: Key, before: Part | None, after: Part | None) -> Iterator[Difference]:
    if before is None or after is None:
        label = (before or after).label  # type: ignore[union-attr]  # one of them is there
        yield Difference(*key, label, "", before.facts if before else None, after.facts if after else None)
        return
    for fact in sorted(before.facts.keys() | after.facts.keys()):
        if before.facts.get(fact) != after.facts.get(fact):
            yield Difference(*key, before.label, fact, before.facts.get(fact), after.facts.get(fact))
