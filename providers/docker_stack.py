"""A stack's ground on a Docker daemon: the volumes that everything else relies on, and the stack's own entry there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pulumi import Output

from keelson.docker import daemon, images, toolbox, toolbox_setup
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class DockerGroundInputs:
    """The daemon, the stack, the image of toolbox and agent, and where backups lie, if not on a volume."""

    place: str
    key: str
    image: str
    backups: str = ""


class DockerGroundProvider(Provider[DockerGroundInputs]):
    """The toolbox's image is on the daemon, and the volumes of state and backups belong to its user."""

    inputs = DockerGroundInputs
    compared: ClassVar = ("image", "backups")

    def identify(self, inputs: DockerGroundInputs) -> str:
        """Return `stack/ground`."""
        return f"{inputs.key}/ground"

    def make(self, inputs: DockerGroundInputs) -> Bag:
        """Find, fetch or build the image, and prepare the volumes."""
        image_id = images.ensure(daemon.connect(inputs.place), inputs.image)
        toolbox_setup.prepare_volumes(inputs.place, inputs.key, image_id, inputs.backups)
        return {"image_id": image_id}


class DockerGround(Managed, module="keelson", name="DockerGround"):
    """What the toolbox stands on; `image_id` is its image."""

    provider = DockerGroundProvider
    computed = ("image_id",)

    image_id: Output[str]


@dataclass(frozen=True)
class DockerIdentityInputs:
    """The names of a stack, its settings without secrets as the toolbox reads them, and the toolbox's container."""

    place: str
    key: str
    environment: str
    settings: str
    toolbox: str


class DockerIdentityProvider(Provider[DockerIdentityInputs]):
    """A random id that marks what the stack owns, kept on its state volume."""

    inputs = DockerIdentityInputs
    compared: ClassVar = ("environment", "settings", "toolbox")
    fixed: ClassVar = {"key": "a stack keeps its name: make a new stack and restore into it"}

    def identify(self, inputs: DockerIdentityInputs) -> str:
        """Return the key."""
        return inputs.key

    def make(self, inputs: DockerIdentityInputs) -> Bag:
        """Make the entry, or recognise the one that is there, and write the settings down."""
        stack_id = toolbox.ask(inputs.place, inputs.key, "register", environment=inputs.environment)
        toolbox.ask(inputs.place, inputs.key, "put_settings", text=inputs.settings)
        return {"stack_id": stack_id}


class DockerIdentity(Managed, module="keelson", name="DockerIdentity"):
    """A stack's entry on a Docker daemon."""

    provider = DockerIdentityProvider
    computed = ("stack_id",)

    stack_id: Output[str]
