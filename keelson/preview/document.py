"""What a preview found, in the order in which a reviewer asks: what is destroyed, what changes, what nobody can know yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from keelson.errors import KeelsonError
from keelson.migrations import Location
from keelson.migrations.lint import Finding, Foreseen, foresee
from keelson.migrations.lint.foreseen import StatementPlan
from keelson.migrations.lint.place import from_input
from keelson.migrations.plan import code_in, describe_text, losses_in
from keelson.migrations.seeds import SeedFile, read_seeds
from keelson.preview.events import Events, Step
from keelson.wording import counted

FORMAT = 1  # of the JSON; raised when a key goes or changes its meaning

Verdict = Literal["unchanged", "changes", "destructive", "failed"]
Status = Literal["new", "changed", "removed"]

_COMPONENT = "keelson:index:"
_OPERATIONS = {"create": "create", "update": "update", "delete": "delete", "replace": "replace"}
_HOLDS_DATA = frozenset({"Database", "DataDirectory", "Volume"})


@dataclass(frozen=True)
class FilePlan:
    """A migration or seed that would run.

    Attributes:
        file: its name.
        plan: it in one line.
        destroys: what it destroys, in words.
        runs_code: its commands whose effects only the run itself shows.
        reversible: of a migration, whether it has an undo.
        statements: of a migration, what each of its statements does.
        findings: of a migration, what the linter says.
    """

    file: str
    plan: str
    destroys: str
    runs_code: str
    reversible: bool | None = None
    statements: tuple[StatementPlan, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Change:
    """A resource that would be made, changed or taken away; `properties` are the names of those that differ."""

    name: str
    type: str
    op: str
    properties: tuple[str, ...]


@dataclass(frozen=True)
class PartChange:
    """A database or another part of the stack, with what would be done to it.

    Attributes:
        name: of the database, server, Redis, and so on.
        kind: `database`, `server`, `redis`, `pgadmin`, `agent` or `stack`.
        server: that holds the database; empty for other parts.
        status: `new`, `changed` or `removed`.
        migrations: those that would run, in their order.
        seeds: those that would run, in their order.
        resources: what would change of its resources.
    """

    name: str
    kind: str
    server: str
    status: Status
    migrations: tuple[FilePlan, ...]
    seeds: tuple[FilePlan, ...]
    resources: tuple[Change, ...]


@dataclass(frozen=True)
class Danger:
    """What would be lost: where, by which file (empty for a resource), and what."""

    where: str
    file: str
    what: str


@dataclass(frozen=True)
class Document:
    """A preview to be read by a person or a program."""

    stack: str
    verdict: Verdict
    headline: str
    counts: Mapping[str, int]
    destructive: tuple[Danger, ...] = ()
    databases: tuple[PartChange, ...] = ()
    parts: tuple[PartChange, ...] = ()
    unknown: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it with stable keys: those of the dataclasses, and `format`."""
        return {"format": FORMAT, **asdict(self)}


def document_of(events: Events, stack: str, root: Path) -> Document:
    """Return the document of a preview of `stack`; `root` is the project's folder, where the seeds are read."""
    changes = tuple(_part_changes(events, root))
    destructive = (*_lost_by_files(changes), *_lost_with_resources(events, changes))
    verdict: Verdict = "changes" if changes else "unchanged"
    verdict = "failed" if events.errors or not events.finished else "destructive" if destructive else verdict
    counts = _counts(events)
    return Document(
        stack=stack,
        verdict=verdict,
        headline=_headline(verdict, changes, destructive, counts),
        counts=counts,
        destructive=destructive,
        databases=tuple(change for change in changes if change.kind == "database"),
        parts=tuple(change for change in changes if change.kind != "database"),
        unknown=tuple(_unknown(changes)),
        warnings=events.warnings,
        errors=events.errors,
    )


def failed_document(stack: str, sentence: str) -> Document:
    """Return the document of a preview that could not even begin."""
    return Document(stack, "failed", _headline("failed", (), (), {}), counts=_no_counts(), errors=(sentence,))


def _part_changes(events: Events, root: Path) -> Iterator[PartChange]:
    steps = {step.urn: step for step in events.steps}
    groups: dict[str, list[Step]] = {}
    for step in events.steps:
        if step.op != "same" and step.type != "Stack":
            groups.setdefault(_component_of(step, steps), []).append(step)
    order = {"database": 0, "server": 1, "redis": 2, "pgadmin": 3, "agent": 4, "stack": 5}
    made = (_part_change(urn, found, steps, root) for urn, found in groups.items())
    yield from sorted(made, key=lambda change: (order.get(change.kind, 9), change.server, change.name))


def _component_of(step: Step, steps: Mapping[str, Step]) -> str:
    """Return the URN of the innermost component that a resource belongs to, itself if it is one."""
    urn = step.urn
    while urn in steps and f"{_COMPONENT}" not in str((steps[urn].new or steps[urn].old).get("type", "")):
        urn = steps[urn].parent
    return urn


def _part_change(urn: str, found: Sequence[Step], steps: Mapping[str, Step], root: Path) -> PartChange:
    component = steps.get(urn)
    kind = _kind(component)
    files = {step.type: tuple(_files(step, root)) for step in found if step.type in {"Schema", "Seeds"}}
    return PartChange(
        name=component.name if component else "",
        kind=kind,
        server=component.parent.rpartition("::")[2] if component and kind == "database" else "",
        status=_status(component),
        migrations=files.get("Schema", ()),
        seeds=files.get("Seeds", ()),
        resources=tuple(
            Change(step.name, step.type, _OPERATIONS.get(step.op, step.op), _properties(step)) for step in found
        ),
    )


def _kind(component: Step | None) -> str:
    kind = component.type.lower() if component else "stack"
    return {"servicedatabase": "database", "platform": "stack"}.get(kind, kind)


def _status(component: Step | None) -> Status:
    known: dict[str, Status] = {"create": "new", "delete": "removed"}
    return known.get(component.op if component else "", "changed")


def _properties(step: Step) -> tuple[str, ...]:
    """Say nothing of what is new or goes; a secret that changed shows as a value that looks the same."""
    if step.op in {"create", "delete"}:
        return ()
    return step.changed or ("a secret value",)


def _files(step: Step, root: Path) -> Iterator[FilePlan]:
    names = [name for name in str(step.inputs.get("pending") or "").split(", ") if name]
    if step.op == "delete" or not names:
        return
    plans = step.inputs.get("plan") or {} if step.type == "Schema" else _seed_plans(step, names, root)
    foreseen = _foreseen(step, names, root) if step.type == "Schema" else {}
    for name in names:
        plan = str(plans.get(name, ""))
        found = FilePlan(name, plan, losses_in(plan), code_in(plan))
        if seen := foreseen.get(name):
            rows = {str(table): int(count) for table, count in (_outputs(step).get("rows") or {}).items()}
            statements = tuple(statement.with_rows(rows) for statement in seen.statements)
            found = replace(found, reversible=seen.reversible, statements=statements, findings=seen.findings)
        yield found


def _outputs(step: Step) -> Mapping[str, Any]:
    return dict(step.old.get("outputs") or {})


def _foreseen(step: Step, names: Sequence[str], root: Path) -> dict[str, Foreseen]:
    """Look at the pending migrations: the engine's state holds one line of each."""
    try:
        files = Location(Path(str(step.inputs["directory"])), **step.inputs.get("reading", {})).read(root)
        pending = [file for file in files if file.name in names]
        earlier = [file for file in files if file.name not in names]
        return {seen.file: seen for seen in foresee(pending, earlier, from_input(step.inputs.get("lint") or {}))}
    except KeelsonError:  # the preview itself has refused them, and says why
        return {}


def _seed_plans(step: Step, names: Sequence[str], root: Path) -> dict[str, str]:
    """Describe the seeds from their files: the engine's state holds no plan of them."""
    try:
        seeds = read_seeds(root / str(step.inputs["directory"]), step.inputs["folders"], root)
        return {seed.name: _seed_plan(seed) for seed in seeds if seed.name in names}
    except KeelsonError:  # the preview itself has refused them, and says why
        return {}


def _seed_plan(seed: SeedFile) -> str:
    if not seed.table:
        return describe_text(seed.text(), seed.source)
    return f"loads up to {seed.count_rows()} rows into {'.'.join(seed.table)}"


def _lost_by_files(changes: Iterable[PartChange]) -> Iterator[Danger]:
    for change in changes:
        for file in (*change.migrations, *change.seeds):
            if file.destroys:
                yield Danger(change.name, file.file, file.destroys)


def _lost_with_resources(events: Events, changes: Iterable[PartChange]) -> Iterator[Danger]:
    retained = {step.name for step in events.steps if step.old.get("retainOnDelete") or step.old.get("protect")}
    standing = {(step.type, step.name) for step in events.steps if _is_left_standing(step)}
    for change in changes:
        if change.status == "removed":
            yield Danger(change.name, "", _removed(change, retained))
            continue
        for resource in change.resources:
            if resource.op in {"delete", "replace"} and (resource.type, resource.name) not in standing:
                verb = "is replaced" if resource.op == "replace" else "is taken away"
                yield Danger(change.name, "", f"{resource.type} {resource.name} {verb}")


def _is_left_standing(step: Step) -> bool:
    """Say whether an object of a cluster leaves the program alone: another tool has it from now on."""
    return step.op == "delete" and step.token.startswith("kubernetes:") and bool(step.old.get("retainOnDelete"))


def _removed(change: PartChange, retained: set[str]) -> str:
    holds = [resource.name for resource in change.resources if resource.type in _HOLDS_DATA]
    kept = bool(holds) and all(name in retained for name in holds)
    if change.kind == "database":
        what = "its data is kept" if kept else "it is dropped after a dump"
    else:
        what = "its data is kept" if kept or not holds else "its data goes with it"
    return f"{change.kind} {change.name} is taken out of the stack; {what}"


def _counts(events: Events) -> dict[str, int]:
    found = _no_counts()
    for step in events.steps:
        op = "unchanged" if step.op == "same" else _OPERATIONS.get(step.op, "update")
        found[op] += 1
    return found


def _no_counts() -> dict[str, int]:
    return dict.fromkeys(("create", "update", "replace", "delete", "unchanged"), 0)


def _headline(
    verdict: Verdict, changes: Sequence[PartChange], destructive: Sequence[Danger], counts: Mapping[str, int]
) -> str:
    if verdict == "failed":
        return "the preview fails, so nothing would be done"
    if verdict == "unchanged":
        return f"nothing changes; {counts['unchanged']} resources stay as they are"
    files = sum(len(change.migrations) for change in changes)
    databases = sum(change.kind == "database" for change in changes)
    parts = [
        f"{len(destructive)} destructive" if destructive else "nothing destructive",
        *([counted(databases, "database")] if databases else []),
        *([counted(files, "migration")] if files else []),
    ]
    return ", ".join(parts)


def _unknown(changes: Sequence[PartChange]) -> Iterator[str]:
    """Say what only the run itself will show."""
    if any(change.migrations and change.status != "new" for change in changes):
        yield "whether the rows that are there fit new constraints and types, and how long the locks are held"
    for change in changes:
        for file in (*change.migrations, *change.seeds):
            if file.runs_code:
                yield f"what {file.runs_code} in {change.name}/{file.file} does"
    if any(change.kind in {"server", "redis"} and change.status == "new" for change in changes):
        yield "the ports of new servers, which are chosen when they start"
    yield "what was changed in the databases by hand; pulumi refresh looks"
