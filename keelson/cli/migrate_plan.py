"""What pending migrations will do, statement by statement: for `keelson migrate status --plan`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from keelson.cli.migrate_target import Opened
from keelson.migrations.lint import Foreseen, Place, foresee
from keelson.migrations.lint.foreseen import StatementPlan
from keelson.migrations.lint.place import place_of
from keelson.migrations.rows import estimated_rows, in_words


@dataclass(frozen=True, slots=True)
class ShownPlan:
    """What one file will do, for a person and for a program."""

    foreseen: Foreseen

    @property
    def values(self) -> dict[str, Any]:
        """It for a program."""
        return asdict(self.foreseen)

    @property
    def text(self) -> str:
        """It for a person, on several lines."""
        return "\n".join(_lines(self.foreseen))


def plans_of(found: Opened, pending: Collection[str]) -> dict[str, ShownPlan]:
    """Return what the pending files will do, by their names, with how many rows the tables have now; reads alone."""
    waiting = [file for file in found.files if file.name in pending]
    if not waiting:
        return {}
    if found.place.chosen:
        place = place_of(found.place.chosen.stack, found.place.service)
    else:
        place = Place(version=str(found.connection.info.server_version // 10_000))
    earlier = [file for file in found.files if file.name not in pending]
    rows = estimated_rows(found.connection)
    return {
        seen.file: ShownPlan(
            replace(seen, statements=tuple(statement.with_rows(rows) for statement in seen.statements))
        )
        for seen in foresee(waiting, earlier, place)
    }


def _lines(plan: Foreseen) -> Iterator[str]:
    runs = "in one transaction" if plan.transaction else "statement by statement, without a transaction"
    yield ""
    yield f"{plan.source}: {runs}, {'has an undo' if plan.reversible else 'has no undo'}"
    for statement in plan.statements:
        yield f"  line {statement.line}: {'; '.join([statement.command, *_said(statement)])}"
    for finding in plan.findings:
        yield f"  {finding.severity} {finding.rule} in line {finding.line}: {finding.message}"


def _said(statement: StatementPlan) -> Iterator[str]:
    if statement.makes:
        yield f"makes {statement.makes}"
    for destroyed in statement.destroys:
        yield f"DESTRUCTIVE: {destroyed}"
    for lock in statement.locks:
        yield f"locks {lock.table} {lock.mode}{_rows(lock.rows)}"
    for work in statement.work:
        yield f"{work}{_rows(work.rows)}"


def _rows(rows: int | None) -> str:
    return f", {in_words(rows)}" if rows else ""
