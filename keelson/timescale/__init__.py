"""Compression, retention and aggregates of TimescaleDB, by what its edition offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keelson.lazily import exports

if TYPE_CHECKING:
    from keelson.timescale.definition import Definition, read_definition
    from keelson.timescale.policies import Report, apply_policies, report, run_substitutes

__all__ = ["Definition", "Report", "apply_policies", "read_definition", "report", "run_substitutes"]

__getattr__ = exports(
    __name__,
    {
        "definition": ("Definition", "read_definition"),
        "policies": ("Report", "apply_policies", "report", "run_substitutes"),
    },
)
