"""Whether a live server is as safe as it should be: what `keelson harden` asks. Nothing here changes a server or prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keelson.lazily import exports

if TYPE_CHECKING:
    from keelson.postgres.hardening.examining import examine
    from keelson.postgres.hardening.model import Check, Expected, Finding, Judgement, State, Wanted
    from keelson.postgres.hardening.table import CHECKS

__all__ = ["CHECKS", "Check", "Expected", "Finding", "Judgement", "State", "Wanted", "examine"]

__getattr__ = exports(
    __name__,
    {
        "examining": ("examine",),
        "model": ("Check", "Expected", "Finding", "Judgement", "State", "Wanted"),
        "table": ("CHECKS",),
    },
)
