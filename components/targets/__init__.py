"""Where a stack runs: one class per target, all with the interface below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from keelson.errors import SettingsError

if TYPE_CHECKING:
    import pulumi

    from keelson.endpoint import Reference
    from keelson.settings.stack import Stack


@dataclass(frozen=True)
class RunningServer:
    """What a target makes for one server: where its data lives, what serves it, and how to name a connection to it."""

    reference: Reference
    volume: pulumi.Resource  # what lives in the server is deleted with it
    process: pulumi.Resource  # what must run before a connection is made
    port: pulumi.Output[int]


class Target(Protocol):
    """Makes a stack's parts in one place."""

    stack_id: pulumi.Output[str]

    def server(self, name: str, parent: pulumi.Resource) -> RunningServer:
        """Make the server `name` of the settings, below `parent`."""


def target_for(stack: Stack, parent: pulumi.Resource) -> Target:
    """Return the target that the settings name; raises SettingsError where this version has none."""
    if stack.settings.target == "local":
        from components.targets.local import LocalTarget  # noqa: PLC0415 - a target loads only what it needs

        return LocalTarget(stack, parent)
    msg = (
        f"Pulumi.{stack.name}.yaml: the target {stack.settings.target!r} is not built yet; set keelson:target to local"
    )
    raise SettingsError(msg)
