"""The ground of a stack on a daemon (networks, volumes, toolbox), and parts on it, as the engine would make them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import docker
from docker.errors import DockerException, NotFound
from docker.models.containers import Container
from docker.types import Healthcheck

from keelson.containers import toolbox as inside
from keelson.containers.model import ContainerSettings
from keelson.docker import images, names, part, toolbox, toolbox_setup
from keelson.docker.part import DockerSpec
from keelson.docker.target import DockerTarget

SECOND = 1_000_000_000  # nanoseconds
RESTARTED: Any = {"restart_policy": {"Name": "unless-stopped"}}


@dataclass(frozen=True)
class Ground:
    """What is on the daemon."""

    client: docker.DockerClient
    place: str
    key: str
    image: str  # the agent's

    @property
    def target(self) -> DockerTarget:
        """The target."""
        return DockerTarget(self.place)

    def ask(self, operation: str, **arguments: Any) -> Any:
        """Ask the toolbox."""
        return toolbox.ask(self.place, self.key, operation, **arguments)

    def make(self, backups: str = "", archived: Sequence[str] = ()) -> None:
        """Make networks, volumes and the toolbox."""
        labels = {names.STACK_LABEL: self.key}
        for name in (names.network(self.key), names.admin_network(self.key), names.ports_network(self.key)):
            self.client.networks.create(name, internal=name != names.ports_network(self.key), labels=labels)
        archives = [names.archive_volume(self.key, name) for name in archived]
        for volume in (names.state_volume(self.key), names.backups_volume(self.key), *archives):
            self.client.volumes.create(volume, labels=labels)
        toolbox_setup.prepare_volumes(self.place, self.key, self.image, backups)
        self._run(names.TOOLBOX, self.image, (inside.UID, inside.GID), inside.container(backups, archived))
        self.ask("register", environment="dev")

    def spec(self, name: str, kind: str, image: str, **settings: Any) -> DockerSpec:
        """Return what a part shall be, from an image made here."""
        traits = images.traits(image)
        stack_id = self.ask("register", environment="dev")
        return DockerSpec(
            self.place, self.key, stack_id, name, kind, traits.reference, traits.uid, traits.gid, settings=settings
        )

    def up(self, spec: DockerSpec, passwords: Mapping[str, str] | None = None) -> part.Prepared:
        """Bring a part up as the engine does: its container is kept where nothing of it changed."""
        for volume in (names.data_volume(self.key, spec.name), names.config_volume(self.key, spec.name)):
            self.client.volumes.create(volume, labels=names.labels(self.key, spec.name))
        prepared = part.prepare(replace(spec, preferred_port=20000 + secrets.randbelow(10000)), passwords)
        if part.find_container(spec) is None:
            user = (spec.uid, spec.gid)
            made = part.container(spec)
            inner = part.kind(spec.kind).listens_on
            self._run(spec.name, prepared.image_id, user, made, (inner, prepared.port) if spec.published else None)
        part.bring(spec)
        return prepared

    def container(self, name: str) -> Container:
        """Return a part's container as it is now."""
        return self.client.containers.get(names.container(self.key, name))

    def _run(
        self, name: str, image: str, user: tuple[int, int], made: ContainerSettings, port: tuple[int, int] | None = None
    ) -> None:
        networks = names.networks(self.key, made.networks)
        container = self.client.containers.create(
            image,
            list(made.command) or None,
            name=names.container(self.key, name),
            hostname=name,
            user="{}:{}".format(*user),
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            environment=dict(made.environment),
            tmpfs=part.tmpfs(made, *user),
            volumes={
                volume: {"bind": mount.path, "mode": "ro" if mount.read_only else "rw"}
                for volume, mount in part.volumes(self.key, name, made).items()
            },
            healthcheck=_health(made),
            stop_signal=made.stop_signal,
            network=networks[0],
            ports={f"{port[0]}/tcp": ("127.0.0.1", port[1])} if port else None,
            labels=names.labels(self.key, name),
            **RESTARTED,
        )
        self.client.networks.get(networks[0]).disconnect(container)
        for network in networks:
            self.client.networks.get(network).connect(container, aliases=[name])
        if port:
            self.client.networks.get(names.ports_network(self.key)).connect(container)
        container.start()

    def remove(self) -> None:
        """Remove all of it."""
        found: Any = {"label": f"{names.STACK_LABEL}={self.key}"}
        for container in self.client.containers.list(all=True, filters=found, ignore_removed=True):
            with suppress(NotFound):
                container.remove(force=True, v=True)
        for network in self.client.networks.list(filters=found):
            network.remove()
        for volume in self.client.volumes.list(filters=found):
            with suppress(DockerException):
                volume.remove()


def _health(made: ContainerSettings) -> Any:
    """Return how the daemon looks, more often than in earnest: a test waits for it."""
    health = made.healthcheck
    if not health:
        return None
    test = ["CMD", *health.command]
    return Healthcheck(test=test, interval=SECOND // 2, timeout=health.timeout * SECOND, retries=health.retries)


@contextmanager
def ground(host: str, backups: str = "", archived: Sequence[str] = ()) -> Iterator[Ground]:
    """Give a stack with a toolbox alone; in the end all of it is gone."""
    key = f"g{secrets.token_hex(4)}-dev"
    with closing(docker.DockerClient(base_url=host, version="auto", timeout=60)) as client:
        agent = images.build(client, ["agent"], lambda *_: None)[0]
        made = Ground(client, f"docker@{host}", key, agent.reference)
        try:
            made.make(backups, archived)
            yield made
        finally:
            made.remove()
