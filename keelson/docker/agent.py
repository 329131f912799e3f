"""What Docker has to do around the agent's container; what is in it stands in `keelson.containers.agent`."""

from __future__ import annotations

from keelson.containers import agent
from keelson.containers.agent import PATIENCE
from keelson.containers.model import PartSpec
from keelson.docker import answers, toolbox_setup
from keelson.docker.part import DockerSpec
from keelson.errors import SettingsError


class AgentKind(agent.AgentKind):
    """See `keelson.docker.part.Kind` for what each method is for."""

    def check(self, spec: PartSpec) -> None:
        """Raise SettingsError for a directory of backups that is no path of the daemon's machine."""
        directory = str(spec.settings.get("backups") or "")
        if directory and not directory.startswith("/"):
            msg = f"the setting 'keelson:backup.directory' is {directory!r}; set a whole path of the daemon's machine"
            raise SettingsError(msg)

    def before(self, spec: DockerSpec, image_id: str) -> tuple[str, ...]:
        """Make its places ready, as for the toolbox."""
        backups = str(spec.settings.get("backups") or "")
        toolbox_setup.prepare_volumes(spec.place, spec.key, image_id, backups, (spec.uid, spec.gid))
        return ()

    def bring(self, spec: DockerSpec) -> tuple[str, ...]:
        """Wait until the agent itself works."""
        answers.wait(spec, lambda: agent.fault(spec), PATIENCE)
        return ()
