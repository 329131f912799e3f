"""Exceptions that a file makes for itself: `-- keelson: allow RULE: reason`.

One that stands right before a statement, or beside it, is for that statement; any other is for the whole file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from keelson.migrations.lint.reading import Comment, Parsed, Reading

_ALLOW = re.compile(r"--[ \t]*keelson:[ \t]*allow\b[ \t]*(?P<rules>[^:]*)(?::[ \t]*(?P<reason>.*))?", re.IGNORECASE)


@dataclass(slots=True)
class Allowed:
    """One exception: the rules that it names, and for which statement; None is the whole file."""

    line: int
    rules: tuple[str, ...]
    reason: str
    statement: Parsed | None
    used: set[str] = field(default_factory=set)

    def covers(self, rule: str, statement: Parsed | None) -> bool:
        """Say whether a finding is allowed, and remember that one was."""
        if rule not in self.rules or (self.statement is not None and self.statement is not statement):
            return False
        self.used.add(rule)
        return True


def exceptions_in(reading: Reading) -> Iterator[Allowed]:
    """Yield the exceptions of a file."""
    lines = reading.text.split("\n")
    for comment in reading.comments:
        if match := _ALLOW.fullmatch(comment.text):
            rules = tuple(word for word in re.split(r"[\s,]+", match["rules"].strip()) if word)
            yield Allowed(comment.line, rules, (match["reason"] or "").strip(), _statement_of(comment, reading, lines))


def _statement_of(comment: Comment, reading: Reading, lines: list[str]) -> Parsed | None:
    beside = [entry for entry in reading.statements if entry.line <= comment.line <= entry.last_line]
    if beside:
        return beside[-1]
    after = next((entry for entry in reading.statements if entry.line > comment.line), None)
    between = lines[comment.line : after.line - 1] if after else [""]
    return after if all(line.lstrip().startswith("--") for line in between) else None
