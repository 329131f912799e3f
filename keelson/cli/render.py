"""Write a stack's objects as plain YAML, for tools that apply what lies in a repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keelson.cli.context import Context, context
from keelson.cli.lifecycle import Extra
from keelson.cli.options import StackOption
from keelson.cli.output import complain, note, say
from keelson.cli.preview import look_ahead
from keelson.errors import EngineError, SettingsError
from keelson.kubernetes import folder, manifests, rendered, rendering
from keelson.kubernetes.folder import Written
from keelson.preview.events import Events, Step


def render(
    directory: Annotated[
        Path, typer.Argument(help="The folder to write; files of others in it stay.", file_okay=False)
    ],
    stack: StackOption = None,
    extra: Extra = None,
) -> None:
    """Write the objects of a stack on Kubernetes as plain YAML for Argo CD, Flux or kubectl, with no cluster and no secret.

    What is not wanted any more is removed; what another wrote is left alone. README.md says what `keelson up` adds.

    Example: keelson render -s prod deploy/prod
    """
    chosen = context(stack)
    settings = chosen.stack.settings
    if settings.target != "kubernetes":
        msg = f"stack {chosen.stack_name} has the target {settings.target}, which has no objects to render; name one of target kubernetes"
        raise SettingsError(msg)
    found = manifests.rendering_of(_foreseen(chosen, extra or []))
    key = chosen.stack.key
    written = folder.write(directory, rendered.files_of(found, chosen.stack_name, key), rendered.mark(key))
    say(f"{directory}: {len(found.manifests)} objects, {_told(written)}; {rendered.README} says what `keelson up` adds")
    if settings.kubernetes.workloads == "pulumi":
        note(
            "`keelson up` makes these objects too; for another tool to apply them, set 'workloads' of keelson:kubernetes"
        )


def tell_of_others(chosen: Context) -> None:
    """Say where the cluster runs another rendering than the stack's state stands for."""
    steps = (Step("same", each["urn"], each, each) for each in chosen.engine.resources())
    wanted = manifests.rendering_of(Events(tuple(steps))).manifests
    for sentence in rendering.faults(chosen.stack.settings.place, wanted):
        note(sentence)


def _foreseen(chosen: Context, arguments: list[str]) -> Events:
    """Return what an `up` would do; raises EngineError where it would do nothing, as it fails."""
    if not chosen.engine.exists():
        chosen.engine.prepare()
    events, said = look_ahead(chosen, arguments)
    for error in events.errors[:-1]:
        complain(error)
    if said or events.errors:
        raise EngineError(events.errors[-1] if events.errors else said)
    return events


def _told(written: Written) -> str:
    counts = {"new": written.new, "changed": written.changed, "removed": written.removed}
    return ", ".join(f"{len(names)} {verb}" for verb, names in counts.items() if names) or "none changed"
