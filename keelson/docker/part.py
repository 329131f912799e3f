"""A part of a stack as a container: what is written before the container is made, and what is done once it runs.

What is the same for all stands here (image, passwords, port, registry, files, waiting for an answer); what is particular to one kind
in a module that `kind` names, with the small interface `Kind`. The container itself is the engine's, made between the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from keelson.docker.toolbox import File


@dataclass(frozen=True)
class PartSpec:
    """One part of a stack; `settings` are plain values that its kind knows, and hold no secret.

    Attributes:
        place: the Docker daemon, as `keelson.docker.daemon.find` takes it.
        key: the stack's key.
        stack_id: the stack's random id.
        name: the part's name in the stack, also its name on the networks.
        kind: server, redis, pgadmin or agent.
        image: the image's reference.
        uid: the user that it works as.
        gid: the user's group.
        published: whether it gets a port of the daemon's machine, on `address`.
        address: of the daemon's machine.
        port: the port that the settings demand; None for a free one.
        preferred_port: where to look for a free one first.
        avoid_ports: ports that are the stack's own for something else.
        settings: what the kind knows of.
    """

    place: str
    key: str
    stack_id: str
    name: str
    kind: str
    image: str
    uid: int
    gid: int
    published: bool = True
    address: str = "127.0.0.1"
    port: int | None = None
    preferred_port: int = 0
    avoid_ports: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


class Kind(Protocol):
    """What is particular to one kind of part."""

    @property
    def logins(self) -> tuple[str, ...]:
        """Whose passwords are made before its first start."""

    @property
    def listens_on(self) -> int:
        """The port on the networks."""

    def check(self, spec: PartSpec) -> None:
        """Raise KeelsonError if the settings cannot work; asks no daemon and changes nothing."""

    def before(self, spec: PartSpec, image_id: str) -> None:
        """Do what must be done before a container of another image takes its data over; raises KeelsonError to refuse.

        It is called before each change of the image, and before the first container is made; the old one still runs.
        """

    def files(self, spec: PartSpec) -> Mapping[str, Mapping[str, File]]:
        """Return what the container reads, by volume and path, as it should be now."""

    def bring(self, spec: PartSpec) -> None:
        """Wait until the running container answers, and bring it to what its files say now; restart it only if it must be.

        Raises:
            ServerError: it does not answer; the sentence says why, from its log.
        """
