"""Compression, retention and aggregates of TimescaleDB, by what its edition offers."""

from keelson.timescale.definition import Definition, read_definition
from keelson.timescale.policies import Report, apply_policies, report, run_substitutes

__all__ = ["Definition", "Report", "apply_policies", "read_definition", "report", "run_substitutes"]
