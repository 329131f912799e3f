"""How much the linter's rules count, where that is other than usual."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from keelson.errors import SettingsError

Severity = Literal["error", "warning", "off"]


def _off(value: object) -> object:
    """YAML reads `off` as false."""
    if not isinstance(value, dict):
        return value
    return {rule: "off" if severity is False else severity for rule, severity in value.items()}


def _known(chosen: dict[str, Severity]) -> dict[str, Severity]:
    from keelson.migrations.lint.rules import refuse_unknown  # noqa: PLC0415 - most stacks change no rule, and start faster

    try:
        refuse_unknown(chosen)
    except SettingsError as fault:
        raise ValueError(str(fault)) from None
    return chosen


LintRules = Annotated[dict[str, Severity], BeforeValidator(_off), AfterValidator(_known)]
