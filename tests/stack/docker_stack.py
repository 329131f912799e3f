"""A whole stack on a Docker daemon, brought up by the real engine and the official plugin, or the stand-in where it is missing."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

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
