"""The table of rules in docs/lint.md; `python -m tests.migrations.lint.page` writes it anew."""

from __future__ import annotations

from pathlib import Path

from keelson.migrations.lint.rules import RULES, Rule, severity_of

PAGE = Path(__file__).parents[3] / "docs/lint.md"
HEAD = "| rule | prod | dev | what it says |\n|---|---|---|---|\n"


def table() -> str:
    """Return the table, rules that are off last."""
    rules = sorted(RULES.values(), key=lambda rule: rule.level == "off")
    return HEAD + "".join(map(_row, rules))


def _row(rule: Rule) -> str:
    prod, dev = (severity_of(rule, protected=protected, chosen={}) for protected in (True, False))
    off = f" Off: {rule.why_off}." if rule.why_off else ""
    return f"| `{rule.id}`{' *' if rule.ours else ''} | {prod} | {dev} | {rule.about()}.{off} |\n"


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text.partition(HEAD)[0] + table(), encoding="utf-8")
