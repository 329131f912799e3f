"""Where a stack runs: one class per target, all with the interface below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pulumi

    from keelson.endpoint import Reference
    from keelson.settings.backup import BackupSettings
    from keelson.settings.stack import Stack


@dataclass(frozen=True)
class RunningServer:
    """What a target makes for one server: where its data lives, what serves it, and how to name a connection to it."""

    reference: Reference
    volume: pulumi.Resource  # what lives in the server is deleted with it
    process: pulumi.Resource  # what must run before a connection is made
    port: pulumi.Output[int]


@dataclass(frozen=True)
class RunningDaemon:
    """What a target makes for pgAdmin or the agent."""

    process: pulumi.Resource
    port: pulumi.Output[int]


@dataclass(frozen=True)
class Backups:
    """What is backed up: a database or a Redis by its name, how to reach it, and when and how long."""

    name: str
    reference: Reference
    engine: str  # postgres or redis
    settings: BackupSettings


@dataclass(frozen=True)
class Drills:
    """Whose backups are restored on a schedule to prove them: a database by its name, and the project's checks."""

    name: str
    reference: Reference
    schedule: str
    settings: BackupSettings
    checks: Mapping[str, str]


class Target(Protocol):
    """Makes a stack's parts in one place."""

    stack_id: pulumi.Output[str]
    marks: Mapping[str, pulumi.Output[str]]  # inputs that change when the stack's passwords and jobs were lost

    def server(self, name: str, parent: pulumi.Resource) -> RunningServer:
        """Make the PostgreSQL server `name` of the settings, below `parent`."""

    def redis(self, name: str, parent: pulumi.Resource) -> RunningServer:
        """Make the Redis `name` of the settings, below `parent`."""

    def pgadmin(
        self, entries: Sequence[Mapping[str, str]], after: Sequence[pulumi.Resource], parent: pulumi.Resource
    ) -> RunningDaemon:
        """Make pgAdmin with `entries` in its list (group, name, server, database, role), after the resources `after`."""

    def agent(self, after: Sequence[pulumi.Resource], parent: pulumi.Resource) -> RunningDaemon:
        """Make the agent, after the resources `after`."""

    def applications(self, after: Sequence[pulumi.Resource], parent: pulumi.Resource) -> Sequence[pulumi.Resource]:
        """Give applications that the settings name what they connect with, after the resources `after`; return what does."""

    def monitoring(
        self, servers: Mapping[str, RunningServer], redis: Mapping[str, RunningServer], parent: pulumi.Resource
    ) -> None:
        """Make what shows the stack to a Prometheus, where the settings ask for that."""

    def backup_job(self, backups: Backups, opts: pulumi.ResourceOptions) -> pulumi.Resource:
        """Make what backs something up on its schedule."""

    def drill_job(self, drills: Drills, opts: pulumi.ResourceOptions) -> pulumi.Resource | None:
        """Make what proves backups on its schedule; nothing where nobody would run it."""


def target_for(stack: Stack, parent: pulumi.Resource) -> Target:
    """Return the target that the settings name."""
    if stack.settings.target == "local":
        from components.targets.local import LocalTarget  # noqa: PLC0415 - a target loads only what it needs

        return LocalTarget(stack, parent)
    if stack.settings.target == "docker":
        from components.targets.docker import DockerTarget  # noqa: PLC0415

        return DockerTarget(stack, parent)
    from components.targets.kubernetes import KubernetesTarget  # noqa: PLC0415

    return KubernetesTarget(stack, parent)
