"""A whole stack on a Docker daemon, brought up by the real engine and the official plugin, or the stand-in where it is missing."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from keelson.containers.model import DATA_PATH, STATE_PATH
from keelson.docker import names
from tests.stack.harness import CHECKOUT, StackUnderTest

PLUGIN = "pulumi-resource-docker"
STAND_IN = CHECKOUT / "tests" / "plugins" / "bin"
_NUMBERS = itertools.count(1)


class DockerStack(StackUnderTest):
    """A stack of target docker. Its name is nobody else's: on one daemon, names tell stacks apart."""

    def __init__(self, home: Path, host: str, **settings: Any) -> None:
        self.client = docker.DockerClient(base_url=host)
        variables = {"DOCKER_HOST": host, "PULUMI_CONFIG_PASSPHRASE": "a test's own"}
        if not shutil.which(PLUGIN):
            programs = [str(STAND_IN), str(Path(sys.prefix) / "bin"), os.environ["PATH"]]
            variables["PATH"] = os.pathsep.join(programs)
        usual = {"target": "docker", "docker": {"images": "debian"}}
        super().__init__(home, f"t{os.getpid()}x{next(_NUMBERS)}", usual | settings, variables)

    def container(self, part: str) -> Container:
        """Return a part's container."""
        return self.client.containers.get(names.container(self.key, part))

    @property
    def folders(self) -> dict[str, str]:
        return {
            "STATE": f"{STATE_PATH}/keelson/stacks/{self.key}",
            "BACKUPS": f"{DATA_PATH}/keelson/backups/{self.key}",
        }

    def sh(self, script: str, *words: str) -> str:
        done: Any = self.container(names.TOOLBOX).exec_run(
            ["sh", "-euc", script, "sh", *words], environment=self.folders, demux=True
        )
        said, complaint = (str(each or b"", errors="replace") for each in done.output)
        assert done.exit_code == 0, complaint
        return said

    def port(self, part: str) -> int:
        published = self.container(part).attrs["NetworkSettings"]["Ports"]
        return next(int(found[0]["HostPort"]) for found in published.values() if found)

    def logs(self) -> str:
        return "".join(str(each.logs(), errors="replace") for each in self._containers())

    def shown(self) -> str:
        found: list[Any] = [[each.attrs, each.top()] for each in self._containers()]
        return json.dumps(found) + self.logs() + self.sh('find "$STATE" -type f ! -name secrets.json -exec cat {} +')

    def left(self) -> list[str]:
        return [name for name in self.things() if name != names.backups_volume(self.key)]

    def has_data(self, part: str) -> bool:
        return names.data_volume(self.key, part) in self.things()

    def certificate_of(self, server: str) -> str:
        return f"{self.folders['STATE']}/tls/{server}/server.crt"

    def running(self) -> list[str]:
        return [*super().running(), *(each.name for each in self._containers() if each.status == "running")]

    def pid(self, part: str) -> int:
        with contextlib.suppress(NotFound):
            return int(self.container(part).attrs["State"]["Pid"])
        return 0

    def tree(self, part: str) -> list[int]:
        if not self.pid(part):
            return []
        found: Any = self.container(part).top()
        return sorted(int(row[found["Titles"].index("PID")]) for row in found["Processes"])

    def go_down(self) -> None:
        super().go_down()
        for container in self._containers():
            container.kill()

    def networks(self, part: str) -> dict[str, Any]:
        """Return what the daemon says of a part's networks, by their names."""
        return dict(self.container(part).attrs["NetworkSettings"]["Networks"])

    def address(self, part: str, network: str) -> str:
        """Return a part's address on a network."""
        return str(self.networks(part)[network]["IPAddress"])

    def aliases(self, network: str) -> set[str]:
        """Return the names by which containers find each other on a network."""
        found = [self.networks(each.labels[names.PART_LABEL]) for each in self._containers()]
        return {alias for each in found if network in each for alias in each[network]["Aliases"] or ()}

    def things(self) -> list[str]:
        """Return the names of all that the daemon has of this stack."""
        return sorted(each.name for each in [*self._containers(), *self._volumes(), *self._networks()])

    def end(self) -> None:
        """End every process, and remove every container, volume and network of this test."""
        super().end()
        with contextlib.closing(self.client):
            for container in self._containers():
                with contextlib.suppress(NotFound):
                    container.remove(force=True, v=True)
            for volume in self._volumes():
                for left in self.client.containers.list(all=True, filters={"volume": volume.name}, ignore_removed=True):
                    left.remove(force=True)  # made by a provider that was killed
                volume.remove(force=True)
            for network in self._networks():
                with contextlib.suppress(APIError):
                    network.remove()

    def _containers(self) -> list[Container]:
        return self.client.containers.list(all=True, filters=self._mine, ignore_removed=True)

    def _volumes(self) -> list[Any]:
        return self.client.volumes.list(filters=self._mine)

    def _networks(self) -> list[Any]:
        return self.client.networks.list(filters=self._mine)

    @property
    def _mine(self) -> dict[str, str]:
        return {"label": f"{names.STACK_LABEL}={self.key}"}
