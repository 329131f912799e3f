"""The agent in a container: the same program as on a laptop, among the stack's files and on its networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from keelson.agent import live, pages
from keelson.containers import toolbox
from keelson.containers.model import STATE_FILE, ContainerSettings, Healthcheck, PartSpec
from keelson.target import target

PORT = 9180
EVERYWHERE = "0.0.0.0"  # noqa: S104 - its networks decide who reaches it
PATIENCE = 30.0  # until it must be there
STOPPING = 30  # seconds for runs to clear up
PROGRAM = (*toolbox.PYTHON, "keelson.agent")
HEALTH = (
    "import sys, urllib.request\n"
    "try:\n"
    f"    urllib.request.urlopen('http://127.0.0.1:{PORT}/live', timeout=4)\n"
    "except OSError as fault:\n"
    "    sys.exit(f'the agent does not answer ({getattr(fault, \"reason\", fault)})')"
)


class AgentKind:
    """What is particular to the agent; see `keelson.containers.kinds.Kind` for what each method is for.

    Settings: `backups`, a directory of the machine that runs it; `archived`, the servers that keep an archive; `outside`, that it asks what is not of the stack; `jobs_elsewhere`,
    that the platform itself runs the jobs and mounts the stack's state.
    """

    logins: ClassVar[tuple[str, ...]] = ()
    listens_on = PORT

    def check(self, spec: PartSpec) -> None:
        """Nothing is left to check: the settings were checked where they were read."""

    def container(self, spec: PartSpec) -> ContainerSettings:
        """Return what its container is like."""
        asked_as = pages.ANYHOW if spec.hosts is None else ",".join(spec.hosts)
        command = (*PROGRAM, spec.key, "--port", str(PORT), "--host", EVERYWHERE, "--names", asked_as)
        settings = ContainerSettings(
            command=command,
            volumes=toolbox.mounts(str(spec.settings.get("backups") or ""), [*(spec.settings.get("archived") or ())]),
            networks=toolbox.networks(outside=bool(spec.settings.get("outside"))),
            memory=toolbox.MEMORY,
            healthcheck=Healthcheck(("python3", "-I", "-c", HEALTH)),
            stop_timeout=STOPPING,
        )
        return _looking_on(settings) if spec.settings.get("jobs_elsewhere") else settings

    def files(self, spec: PartSpec) -> Mapping[str, str]:  # noqa: ARG002 - the interface of a kind
        """Return nothing: it reads the stack's own files."""
        return {}


def _looking_on(settings: ContainerSettings) -> ContainerSettings:
    """Return the agent that runs no job: it reads the mounted state, and backups that others make."""
    return replace(
        settings,
        command=(*settings.command, "--state", STATE_FILE),
        volumes={role: replace(mount, read_only=True) for role, mount in toolbox.MOUNTS_WITH_SECRET.items()},
        memory={**settings.memory, **toolbox.STATE_IN_MEMORY},
    )


def fault(spec: PartSpec) -> str:
    """Return why the agent itself does not work; what it has to tell about the stack stands on /health."""
    address = target(spec.place).locate(spec.key, spec.name)
    return live.fault_of(spec.key, address.host, address.port)
