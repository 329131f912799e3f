"""A plugin's process, and on its daemon what a test makes: gone when the test ends."""

from __future__ import annotations

import contextlib
import io
import secrets
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

import docker
import docker.errors
import pytest

from tests.plugins.process import Bag, DockerPlugin

LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
HOSTS_PROGRAMS = {"type": "bind", "source": "/usr", "target": "/usr", "readOnly": True}  # the image has none


@dataclass
class Bench:
    """A plugin, a client of the same daemon, and a mark in all names."""

    plugin: DockerPlugin
    api: docker.APIClient
    image: str
    mark: str

    def name(self, what: str) -> str:
        return f"{self.mark}-{what}"

    def make(self, kind: str, inputs: Bag) -> tuple[str, Bag, Bag]:
        """Check and create; return id, outputs and checked inputs."""
        checked = self.plugin.checked(kind, inputs)
        identity, outputs = self.plugin.create(kind, checked)
        return identity, outputs, checked

    def container(self, *command: str, name: str = "c", **more: object) -> Bag:
        """Inputs of a container that runs a program of this machine."""
        mounts = [HOSTS_PROGRAMS, *more.pop("mounts", [])]  # type: ignore[misc]
        return {"name": self.name(name), "image": self.image, "command": list(command), "mounts": mounts, **more}

    def end(self) -> None:
        """Remove all that bears the mark."""
        named = {"name": self.mark}
        for container in self.api.containers(all=True, filters=named):
            self.api.remove_container(container["Id"], v=True, force=True)
        for network in self.api.networks(filters=named):
            self.api.remove_network(network["Id"])
        for volume in self.api.volumes(filters=named)["Volumes"] or ():
            self.api.remove_volume(volume["Name"], force=True)


@pytest.fixture(scope="module")
def api(docker_host: str) -> Iterator[docker.APIClient]:
    with contextlib.closing(docker.APIClient(docker_host, version="auto")) as client:
        yield client


@pytest.fixture(scope="module")
def image(api: docker.APIClient) -> str:
    """An image of a few links: programs come from this machine's /usr."""
    name = "keelson-test/bare:1"
    try:
        api.inspect_image(name)
    except docker.errors.ImageNotFound:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for link, target in LINKS.items():
                entry = tarfile.TarInfo(link)
                entry.type, entry.linkname = tarfile.SYMTYPE, target
                tar.addfile(entry)
        api.import_image_from_data(archive.getvalue(), *name.split(":"))
    return name


@pytest.fixture(scope="module")
def plugin(docker_host: str) -> Iterator[DockerPlugin]:
    with DockerPlugin(docker_host) as process:
        yield process


@pytest.fixture
def bench(plugin: DockerPlugin, api: docker.APIClient, image: str) -> Iterator[Bench]:
    made = Bench(plugin, api, image, f"plugin-{secrets.token_hex(4)}")
    try:
        yield made
    finally:
        made.end()
