"""A stack's ground on a Docker daemon: the volumes that everything else relies on, and the stack's own entry there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pulumi import Output

from keelson.containers.toolbox import GID, UID
from keelson.docker import daemon, images, purging, toolbox_setup
from providers.base import Bag, Managed, Provider
from providers.state import StateEntryProvider, StateIdentityProvider, StateSettingsProvider


@dataclass(frozen=True)
class DockerGroundInputs:
    """The daemon, the stack, the image of toolbox and agent with its user, and where backups lie, if not on a volume."""

    place: str
    key: str
    image: str
    backups: str = ""
    uid: int = UID
    gid: int = GID


class DockerGroundProvider(Provider[DockerGroundInputs]):
    """The toolbox's image is on the daemon, and the volumes of state and backups belong to its user."""

    inputs = DockerGroundInputs
    compared: ClassVar = ("image", "backups", "uid", "gid")

    def identify(self, inputs: DockerGroundInputs) -> str:
        """Return `stack/ground`."""
        return f"{inputs.key}/ground"

    def make(self, inputs: DockerGroundInputs) -> Bag:
        """Find, fetch or build the image, and prepare the volumes."""
        image_id = images.ensure(daemon.connect(inputs.place), inputs.image)
        user = inputs.uid, inputs.gid
        toolbox_setup.prepare_volumes(inputs.place, inputs.key, image_id, inputs.backups, user)
        return {"image_id": image_id}

    def look(self, state: Bag) -> Bag | None:
        """Say whether the image is still there, and the volumes with what was made on them."""
        return state if toolbox_setup.is_prepared(state["place"], state["key"], state["image_id"]) else None

    def remove(self, state: Bag) -> None:
        """Remove what a killed run left, which would keep volumes from going."""
        purging.sweep(state["place"], state["key"])


class DockerGround(Managed, module="keelson", name="DockerGround"):
    """What the toolbox stands on; `image_id` is its image."""

    provider = DockerGroundProvider
    computed = ("image_id",)

    image_id: Output[str]


class DockerIdentityProvider(StateIdentityProvider):
    """See there; the state lies on a volume."""


class DockerIdentity(Managed, module="keelson", name="DockerIdentity"):
    """A stack's entry on a Docker daemon."""

    provider = DockerIdentityProvider
    computed = ("stack_id",)

    stack_id: Output[str]


class DockerEntryProvider(StateEntryProvider):
    """See there; the state lies on a volume."""

    @staticmethod
    def has_state(place: str, key: str) -> bool:
        """Say whether the volume is there."""
        return toolbox_setup.has_state(place, key)


class DockerEntry(Managed, module="keelson", name="DockerEntry"):
    """What lies on the state volume; `mark` is another one when that was lost."""

    provider = DockerEntryProvider
    computed = ("mark",)

    mark: Output[str]


class DockerSettingsProvider(StateSettingsProvider):
    """See there; the state lies on a volume."""


class DockerSettings(Managed, module="keelson", name="DockerSettings"):
    """The settings of a stack inside."""

    provider = DockerSettingsProvider
