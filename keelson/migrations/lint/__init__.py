"""The linter of migrations: what may stop, break or lose something that is in use, before it runs.

| module | holds |
|---|---|
| `rules` | the rules: what each says, how much it weighs |
| `reading` | a file's text, trees and comments |
| `known` | what earlier statements made |
| `work` | what a statement does to all rows of a table |
| `foreseen` | what each statement will do |
| `squawk`, `filters` | the program squawk, and which of its findings are groundless |
| `own`, `timescale` | rules that it does not have |
| `exceptions` | `-- keelson: allow RULE: reason` |
| `linter` | all of that together |
| `place` | where files are to run, by the settings |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keelson.lazily import exports

if TYPE_CHECKING:
    from keelson.migrations.lint.linter import Finding, Foreseen, Place, foresee, lint, lint_each, refuse_errors

__all__ = ["Finding", "Foreseen", "Place", "foresee", "lint", "lint_each", "refuse_errors"]

__getattr__ = exports(
    __name__,
    {
        "linter": ("Finding", "Foreseen", "Place", "foresee", "lint", "lint_each", "refuse_errors"),
    },
)
