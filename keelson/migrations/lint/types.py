"""Types of columns, and which changes of a type leave the rows as they are."""

from __future__ import annotations

from dataclasses import dataclass

from keelson.migrations.grammar import Node

_SERIALS = frozenset({"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"})
_ALIKE = frozenset({("varchar", "text"), ("text", "varchar"), ("cidr", "inet"), ("xml", "text"), ("varbit", "varbit")})
_WIDENED = frozenset({"varchar", "varbit", "timestamp", "timestamptz", "time", "timetz", "interval"})
_SMALL = frozenset({"int2", "int4", "serial", "smallserial", "serial2", "serial4"})

_SPELLED = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "bool": "boolean",
    "float4": "real",
    "bpchar": "char",
}


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type as a column names it, with what stands in its parentheses."""

    name: str
    numbers: tuple[int, ...] = ()

    @classmethod
    def of(cls, node: Node) -> ColumnType:
        """Return the type that a tree names; an array has `[]` behind its name."""
        name = node.names[-1].string.sval if node.names else ""
        return cls(name + "[]" * len(node.array_bounds), tuple(item.a_const.ival.ival for item in node.typmods))

    def __str__(self) -> str:
        numbers = f"({','.join(map(str, self.numbers))})" if self.numbers else ""
        return _SPELLED.get(self.name, self.name) + numbers

    @property
    def is_serial(self) -> bool:
        """Whether it numbers rows by a sequence."""
        return self.name in _SERIALS

    @property
    def is_small(self) -> bool:
        """Whether it is a whole number of 32 bits or less."""
        return self.name in _SMALL

    def becomes(self, new: ColumnType) -> bool:
        """Say whether a column can have a new type with its rows as they are (PostgreSQL's notes to ALTER TABLE)."""
        if self == new:
            return True
        if self.name == new.name:
            return self._widens_to(new)
        return (self.name, new.name) in _ALIKE and not new.numbers

    def _widens_to(self, new: ColumnType) -> bool:
        if self.name == "numeric":
            return not new.numbers or (
                bool(self.numbers) and new.numbers[0] >= self.numbers[0] and new.numbers[1:] == self.numbers[1:]
            )
        if self.name not in _WIDENED:
            return False
        return not new.numbers or (bool(self.numbers) and new.numbers[0] >= self.numbers[0])
