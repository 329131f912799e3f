"""What a part of a stack is asked to be, and what its container is like; plain values that each platform puts in its own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

CONFIG = "/etc/keelson"  # where a part sees its configuration, read-only
STATE_PATH = "/var/lib/keelson/state"  # XDG_STATE_HOME of toolbox and agent
DATA_PATH = "/var/lib/keelson/data"  # their XDG_DATA_HOME
MOUNTED_PATH = "/run/keelson"  # where the state is mounted, on a platform that keeps it as a secret
STATE_FILE = f"{MOUNTED_PATH}/state.json"  # all of it, as texts by their paths

Role = str  # of a volume: data, config, state, backups or secret; or a directory of the machine that runs the container
# product: servers, Redis and applications; admin: servers and pgAdmin; outside: leads out, and nobody is reached by it
Network = Literal["product", "admin", "outside"]


@dataclass(frozen=True)
class PartSpec:
    """One part of a stack; `settings` are plain values that its kind knows, and hold no secret.

    Attributes:
        place: the target and where it is, as `keelson.target.target` takes it.
        key: the stack's key.
        stack_id: the stack's random id.
        name: the part's name in the stack, also its name on the networks.
        kind: server, redis, pgadmin or agent.
        image: the image's reference.
        uid: the user that it works as.
        gid: the user's group.
        settings: what the kind knows of.
        data_stays: whether its data, and so its passwords, stay when it goes.
    """

    place: str
    key: str
    stack_id: str
    name: str
    kind: str
    image: str
    uid: int
    gid: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    data_stays: bool = False

    @property
    def known_as(self) -> tuple[str, ...]:
        """By which names its clients reach it, beside `localhost`."""
        return (self.name,)

    def host_of(self, part: str) -> str:
        """Return by which name a part of the stack is reached."""
        return part

    @property
    def hosts(self) -> tuple[str, ...] | None:
        """By which of these names its pages may be asked; None: by any."""
        return self.known_as


@dataclass(frozen=True)
class Mount:
    """Where a container sees a volume."""

    path: str
    read_only: bool = False


@dataclass(frozen=True)
class Memory:
    """A file system in memory: its size, whose it is (everybody's without `private`), and whether programs may be run from it."""

    megabytes: int
    private: bool = False
    programs: bool = False


@dataclass(frozen=True)
class Healthcheck:
    """How it is seen whether a part answers: a command without a shell, or the path of a page where a platform asks for one; and seconds."""

    command: tuple[str, ...] = ()
    interval: int = 10
    timeout: int = 5
    retries: int = 3
    start_period: int = 30
    page: str = ""


@dataclass(frozen=True)
class ContainerSettings:
    """What is particular to a part's container; that it is read-only, has no rights, restarts and logs is the same for all.

    Attributes:
        command: what the image's entrypoint is given.
        environment: variables, without secrets.
        volumes: by the volume's role; `secret` is the stack's state as its platform keeps it, read-only.
        memory: file systems in memory, by path.
        healthcheck: how it is seen whether it answers.
        stop_signal: what ends it cleanly.
        stop_timeout: seconds that its end may take.
        shm_size: megabytes of shared memory.
        networks: by which it is reached.
    """

    volumes: Mapping[Role, Mount]
    networks: tuple[Network, ...]
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    memory: Mapping[str, Memory] = field(default_factory=dict)
    healthcheck: Healthcheck | None = None
    stop_signal: str = "SIGTERM"
    stop_timeout: int = 30
    shm_size: int = 64
