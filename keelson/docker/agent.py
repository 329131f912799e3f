"""The agent in a container: the same program as on a laptop, among the stack's files and on its network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from keelson.agent import live, pages
from keelson.docker import answers, names, toolbox_setup
from keelson.docker.part import ContainerSettings, Healthcheck, PartSpec
from keelson.docker.toolbox import File
from keelson.errors import SettingsError
from keelson.target import target

PORT = 9180
EVERYWHERE = "0.0.0.0"  # noqa: S104 - its networks decide who reaches it
EVERY_ADDRESS = (EVERYWHERE, "::")  # of the daemon's machine, which has names that are not known here
PATIENCE = 30.0  # until it must be there
STOPPING = 30  # seconds for runs to clear up
HEALTH = (
    "import sys, urllib.request; "
    f"sys.exit(urllib.request.urlopen('http://127.0.0.1:{PORT}/live', timeout=4).status != 200)"
)


class AgentKind:
    """What is particular to the agent; see `keelson.docker.part.Kind` for what each method is for."""

    logins: ClassVar[tuple[str, ...]] = ()
    listens_on = PORT

    def check(self, spec: PartSpec) -> None:
        """Raise SettingsError for a directory of backups that is no path of the daemon's machine."""
        directory = str(spec.settings.get("backups") or "")
        if directory and not directory.startswith("/"):
            msg = f"the setting 'keelson:backup.directory' is {directory!r}; set a whole path of the daemon's machine"
            raise SettingsError(msg)

    def before(self, spec: PartSpec, image_id: str) -> tuple[str, ...]:
        """Make its places ready, as for the toolbox."""
        backups = str(spec.settings.get("backups") or "")
        toolbox_setup.prepare_volumes(spec.place, spec.key, image_id, backups, (spec.uid, spec.gid))
        return ()

    def container(self, spec: PartSpec) -> ContainerSettings:
        """Return what its container is like."""
        asked_as = pages.ANYHOW if spec.address in EVERY_ADDRESS else f"{spec.name},{spec.address}"
        program = ("python3", "-I", "-m", "keelson.agent", spec.key)
        return ContainerSettings(
            command=(*program, "--port", str(PORT), "--host", EVERYWHERE, "--names", asked_as),
            volumes=toolbox_setup.mounts(spec.key, str(spec.settings.get("backups") or "")),
            networks=(names.network(spec.key), names.admin_network(spec.key)),  # the latter for a look at pgAdmin
            tmpfs=toolbox_setup.TMPFS,
            healthcheck=Healthcheck(("python3", "-I", "-c", HEALTH)),
            stop_timeout=STOPPING,
        )

    def files(self, spec: PartSpec) -> Mapping[str, Mapping[str, File]]:  # noqa: ARG002 - the interface of a kind
        """Return nothing: it reads the stack's own files."""
        return {}

    def bring(self, spec: PartSpec) -> tuple[str, ...]:
        """Wait until the agent itself works; what it has to tell about the stack stands on /health."""
        answers.wait(spec, lambda: _fault(spec), PATIENCE)
        return ()


def _fault(spec: PartSpec) -> str:
    address = target(spec.place).locate(spec.key, spec.name)
    return live.fault_of(spec.key, address.host, address.port)
