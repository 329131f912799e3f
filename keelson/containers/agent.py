"""The agent in a container: the same program as on a laptop, among the stack's files and on its networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from keelson.agent import live, pages
from keelson.containers import toolbox
from keelson.containers.model import ContainerSettings, Healthcheck, PartSpec
from keelson.target import target

PORT = 9180
EVERYWHERE = "0.0.0.0"  # noqa: S104 - its networks decide who reaches it
PATIENCE = 30.0  # until it must be there
STOPPING = 30  # seconds for runs to clear up
HEALTH = (
    "import sys, urllib.request; "
    f"sys.exit(urllib.request.urlopen('http://127.0.0.1:{PORT}/live', timeout=4).status != 200)"
)


class AgentKind:
    """What is particular to the agent; see `keelson.containers.kinds.Kind` for what each method is for."""

    logins: ClassVar[tuple[str, ...]] = ()
    listens_on = PORT

    def check(self, spec: PartSpec) -> None:
        """Nothing is left to check: the settings were checked where they were read."""

    def container(self, spec: PartSpec) -> ContainerSettings:
        """Return what its container is like."""
        asked_as = pages.ANYHOW if spec.hosts is None else ",".join(spec.hosts)
        program = ("python3", "-I", "-m", "keelson.agent", spec.key)
        return ContainerSettings(
            command=(*program, "--port", str(PORT), "--host", EVERYWHERE, "--names", asked_as),
            volumes=toolbox.mounts(str(spec.settings.get("backups") or "")),
            networks=("product", "admin"),  # the latter for a look at pgAdmin
            memory=toolbox.MEMORY,
            healthcheck=Healthcheck(("python3", "-I", "-c", HEALTH)),
            stop_timeout=STOPPING,
        )

    def files(self, spec: PartSpec) -> Mapping[str, str]:  # noqa: ARG002 - the interface of a kind
        """Return nothing: it reads the stack's own files."""
        return {}


def fault(spec: PartSpec) -> str:
    """Return why the agent itself does not work; what it has to tell about the stack stands on /health."""
    address = target(spec.place).locate(spec.key, spec.name)
    return live.fault_of(spec.key, address.host, address.port)
