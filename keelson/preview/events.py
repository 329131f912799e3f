"""The engine's event log of a preview: a JSON object on each line, secrets left out by the engine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Bag = Mapping[str, Any]

_COMPARED = {  # what is known of a resource before its step and after it
    "resourcePreEvent": ("inputs", "protect", "retainOnDelete"),
    "resOutputsEvent": ("inputs", "outputs", "protect", "retainOnDelete"),
}
_ERROR, _WARNING = "error", "warning"
# The engine's own last word, which says nothing that the error before it does not say.
_EMPTY_PHRASES = ("preview failed", "update failed", "an unhandled error occurred")


@dataclass(frozen=True)
class Step:
    """What the engine means to do with one resource.

    Attributes:
        op: such as `same`, `create`, `update`, `delete`, `replace`.
        urn: the resource's name in the engine.
        old: its state as it is, empty for a new one.
        new: its state as it will be, empty for one that goes.
    """

    op: str
    urn: str
    old: Bag
    new: Bag

    @property
    def name(self) -> str:
        """The resource's own name."""
        return self.urn.rpartition("::")[2]

    @property
    def type(self) -> str:
        """The last word of the resource's type, such as `Schema`."""
        return self.token.rpartition(":")[2]

    @property
    def token(self) -> str:
        """The resource's whole type, such as `kubernetes:apps/v1:StatefulSet`."""
        return str((self.new or self.old).get("type", ""))

    @property
    def is_provider(self) -> bool:
        """Whether it stands for a plugin of the engine, which nobody asked for by name."""
        return "::pulumi:providers:" in self.urn

    @property
    def parent(self) -> str:
        """The URN of the resource that it belongs to."""
        return str((self.new or self.old).get("parent", ""))

    @property
    def inputs(self) -> Bag:
        """What the resource takes; of one that goes, what it took."""
        return dict((self.new or self.old).get("inputs") or {})

    @property
    def changed(self) -> tuple[str, ...]:
        """The names of the properties that differ; never their values."""
        old, new = self.old.get("inputs") or {}, self.new.get("inputs") or {}
        keys = sorted((old.keys() | new.keys()) - {"__provider"})
        return tuple(key for key in keys if old.get(key) != new.get(key))


@dataclass(frozen=True)
class Events:
    """All that a preview found; `finished` says whether it came to its end."""

    steps: tuple[Step, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    finished: bool = False
    state_differs: bool = True

    @property
    def changes_nothing(self) -> bool:
        """Whether an `up` would leave all as it is: every resource, every output, and the engine's own state."""
        return self.finished and not self.errors and set(self.counts) <= {"same"} and not self.state_differs


def read_events(path: Path) -> Events:
    """Return what a log says; a log that is missing or cut off is one of a preview that did not finish."""
    steps: dict[str, Step] = {}
    messages: dict[str, dict[str, None]] = {_ERROR: {}, _WARNING: {}}
    counts: Mapping[str, int] = {}
    finished = state_differs = False
    for kind, event in _events(path):
        if kind in _COMPARED:
            step = _step(event["metadata"])
            steps[step.urn] = _stronger(steps.get(step.urn), step)
            state_differs = state_differs or any(step.old.get(key) != step.new.get(key) for key in _COMPARED[kind])
        elif kind == "diagnosticEvent" and event.get("severity") in messages and not event.get("ephemeral"):
            messages[event["severity"]][_message(event)] = None
        elif kind == "policyEvent":
            severity = _ERROR if event.get("enforcementLevel") == "mandatory" else _WARNING
            messages[severity][_message(event)] = None
        elif kind == "summaryEvent":
            counts, finished = event.get("resourceChanges") or {}, event.get("result", "succeeded") == "succeeded"
    return Events(
        steps=tuple(sorted((step for step in steps.values() if not step.is_provider), key=lambda step: step.urn)),
        errors=_told(messages[_ERROR]),
        warnings=_told(messages[_WARNING]),
        counts=counts,
        finished=finished,
        state_differs=state_differs,
    )


def _events(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:  # the engine was killed while it wrote
            continue
        yield next((key, value) for key, value in event.items() if key not in {"sequence", "timestamp"})


def _step(metadata: Bag) -> Step:
    return Step(str(metadata["op"]), str(metadata["urn"]), metadata.get("old") or {}, metadata.get("new") or {})


def _stronger(known: Step | None, step: Step) -> Step:
    """A replacement comes as three steps, and a component twice."""
    if known is None or known.op == "same":
        return step
    parts = {"create-replacement", "delete-replaced", "replace"}
    if {known.op, step.op} & parts:
        return Step("replace", step.urn, known.old or step.old, known.new or step.new)
    return known


def _message(event: Bag) -> str:
    return str(event.get("message", "")).strip()


def _told(messages: Mapping[str, None]) -> tuple[str, ...]:
    return tuple(sorted(text for text in messages if text and text.lower().rstrip(".:") not in _EMPTY_PHRASES))
