"""A stack of a PostgreSQL, a Redis and the toolbox, made by the daemon's client with the names that the target knows."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

import docker
from docker.errors import DockerException, NotFound
from docker.models.containers import Container

from keelson.containers.model import CONFIG, DATA_PATH, STATE_PATH
from keelson.docker import daemon, images, names, toolbox
from keelson.docker.target import DockerTarget
from keelson.docker.toolbox import File

INNER = {"main": 5432, "redis": 6379}
IMAGES = {"toolbox": "agent", "main": "postgres", "redis": "redis"}


@dataclass(frozen=True)
class SmallStack:
    """What is on the daemon."""

    client: docker.DockerClient
    place: str
    key: str
    stack_id: str = "0123456789ab"

    @property
    def target(self) -> DockerTarget:
        """The target that is tested."""
        return DockerTarget(self.place)

    def container(self, part: str) -> Container:
        """Return a part's container as it is now."""
        return self.client.containers.get(names.container(self.key, part))

    def make(self, parts: Collection[str], *, published: bool = True) -> None:
        """Make networks, volumes and containers, and start them."""
        made = built(self.place, *(IMAGES[part] for part in ("toolbox", *parts)))
        for name, internal in ((names.network(self.key), True), (names.ports_network(self.key), False)):
            self.client.networks.create(name, internal=internal, labels={names.STACK_LABEL: self.key})
        for volume in (names.state_volume(self.key), names.backups_volume(self.key)):
            self.client.volumes.create(volume, labels={names.STACK_LABEL: self.key})
        self._own(made["agent"])
        mounts = {
            names.state_volume(self.key): {"bind": STATE_PATH, "mode": "rw"},
            names.backups_volume(self.key): {"bind": DATA_PATH, "mode": "rw"},
        }
        self.run("toolbox", made["agent"], [], mounts, published=False)
        toolbox.ask(self.place, self.key, "register", environment="dev")
        if "main" in parts:
            self._main(made["postgres"], published=published)
        if "redis" in parts:
            self._redis(made["redis"], published=published)

    def run(
        self, part: str, image: str, command: list[str], mounts: dict[str, dict[str, str]], *, published: bool
    ) -> Container:
        """Make and start a part's container."""
        made = self.client.containers.create(
            image,
            command or None,
            name=names.container(self.key, part),
            labels=names.labels(self.key, part),
            network=names.network(self.key),
            volumes=mounts,
            ports={f"{INNER[part]}/tcp": ("127.0.0.1", 0)} if published else None,
            restart_policy={"Name": "unless-stopped"},  # type: ignore[arg-type]
            environment={"POSTGRES_PASSWORD_FILE": f"{CONFIG}/password"},
            init=part == "toolbox",
        )
        network = self.client.networks.get(names.network(self.key))
        network.disconnect(made)
        network.connect(made, aliases=[part])
        if published:
            self.client.networks.get(names.ports_network(self.key)).connect(made)
        made.start()
        return made

    def _own(self, image: str) -> None:
        """Give the volumes to the toolbox's user."""
        who = images.traits("agent")
        files = {"./": File("", who.uid, who.gid, 0o700)}
        toolbox.write(
            self.place, self.key, image, {names.state_volume(self.key): files, names.backups_volume(self.key): files}
        )

    def _main(self, image: str, *, published: bool) -> None:
        who = images.traits("postgres")
        password = toolbox.ask(self.place, self.key, "ensure_password", server="main", role="postgres")
        made = toolbox.ask(self.place, self.key, "certificate", server="main", names=["main"])
        files = {name: File(text, who.uid, who.gid) for name, text in {**made, "password": password}.items()}
        toolbox.write(self.place, self.key, image, {names.config_volume(self.key, "main"): files})
        record = {"name": "main", "port": INNER["main"], "host": "main"}
        toolbox.ask(self.place, self.key, "record_server", stack_id=self.stack_of(), record=record)
        options = [
            "ssl=on",
            f"ssl_cert_file={CONFIG}/server.crt",
            f"ssl_key_file={CONFIG}/server.key",
            "fsync=off",
        ]
        mounts = {
            names.config_volume(self.key, "main"): {"bind": CONFIG, "mode": "ro"},
            names.data_volume(self.key, "main"): {"bind": who.data, "mode": "rw"},
        }
        command = ["postgres", *(word for option in options for word in ("-c", option))]
        self.run("main", image, command, mounts, published=published)

    def _redis(self, image: str, *, published: bool) -> None:
        password = toolbox.ask(self.place, self.key, "ensure_password", server="redis", role="admin")
        record = {"name": "redis", "kind": "redis", "port": INNER["redis"], "host": "redis"}
        toolbox.ask(self.place, self.key, "record_daemon", stack_id=self.stack_of(), record=record)
        command = [
            "redis-server",
            "--user",
            "admin",
            "on",
            f">{password}",
            "~*",
            "&*",
            "+@all",
            "--user",
            "default",
            "off",
        ]
        self.run("redis", image, command, {}, published=published)

    def stack_of(self) -> str:
        """Return the stack's id."""
        return str(toolbox.ask(self.place, self.key, "register", environment="dev"))

    def remove(self) -> None:
        """Remove all of it."""
        toolbox.close(self.place, self.key)
        found: dict[str, str | list[str] | bool] = {"label": f"{names.STACK_LABEL}={self.key}"}
        for container in self.client.containers.list(all=True, filters=found, ignore_removed=True):
            with suppress(NotFound):
                container.remove(force=True, v=True)
        for network in self.client.networks.list(filters=found):
            network.remove()
        for volume in self.client.volumes.list():
            if volume.name.startswith(f"{self.key}-"):
                with suppress(DockerException):
                    volume.remove()


@functools.cache
def built(place: str, *wanted: str) -> dict[str, str]:
    """Return the references of images by name, made where the daemon lacks them."""
    return {image.name: image.reference for image in images.build(daemon.connect(place), wanted, lambda *_: None)}


@contextmanager
def small_stack(
    host: str, parts: Collection[str] = ("main", "redis"), *, published: bool = True
) -> Iterator[SmallStack]:
    """Give a stack that answers; in the end it is gone."""
    key = f"t{secrets.token_hex(4)}-dev"
    with closing(docker.DockerClient(base_url=host, version="auto", timeout=60)) as client:
        made = SmallStack(client, f"docker@{host}", key)
        try:
            made.make(parts, published=published)
            made.target.start(key)
            yield made
        finally:
            made.remove()
