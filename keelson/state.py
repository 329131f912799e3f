"""What the engine's state remembers of a database: read from its resources, without any connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class LastKnown:
    """What the last `up` found.

    Attributes:
        ledger: What was applied, {file: sha256}.
        rows: About how many rows the larger tables had, {table: rows}.
    """

    ledger: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)


def last_known(resources: Iterable[Mapping[str, Any]], service: str) -> LastKnown:
    """Return what the state's resources say of a service's database; nothing where it is not there yet."""
    for resource in resources:
        if str(resource.get("urn", "")).endswith(f"::{service}-schema") and resource.get("outputs"):
            outputs = resource["outputs"]
            rows = {table: int(rows) for table, rows in (outputs.get("rows") or {}).items()}
            return LastKnown(dict(outputs.get("ledger") or {}), rows)
    return LastKnown()
