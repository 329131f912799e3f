"""The table of checks in docs/harden.md; `python -m tests.postgres.hardening.page` writes it anew."""

from __future__ import annotations

from pathlib import Path

from keelson.postgres.hardening import CHECKS, Check

PAGE = Path(__file__).parents[3] / "docs/harden.md"
HEAD = "| # | check | what should be so | from | how to mend it |\n|---|---|---|---|---|\n"


def table() -> str:
    """Return the table, in the order of the checks."""
    return HEAD + "".join(_row(number, check) for number, check in enumerate(CHECKS, start=1))


def _row(number: int, check: Check) -> str:
    return f"| {number} | `{check.id}` | {check.title} | {check.sources} | {check.fix} |\n"


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text.partition(HEAD)[0] + table(), encoding="utf-8")
