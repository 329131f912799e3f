"""A stack's ground on a Docker daemon: the volumes that everything else relies on, and the stack's own entry there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pulumi import Output

from keelson.containers.toolbox import GID, UID
from keelson.docker import daemon, images, purging, toolbox, toolbox_setup
from providers.base import Bag, Managed, Provider


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


@dataclass(frozen=True)
class DockerIdentityInputs:
    """The names of a stack, and its daemon."""

    place: str
    key: str
    environment: str


class DockerIdentityProvider(Provider[DockerIdentityInputs]):
    """A random id that marks what the stack owns. Nothing updates it, or a preview could not say what follows from it."""

    inputs = DockerIdentityInputs
    compared: ClassVar = ()
    fixed: ClassVar = {"key": "a stack keeps its name: make a new stack and restore into it"}

    def identify(self, inputs: DockerIdentityInputs) -> str:
        """Return the key."""
        return inputs.key

    def make(self, inputs: DockerIdentityInputs) -> Bag:
        """Make the entry, or recognise the one that is there."""
        return {"stack_id": toolbox.ask(inputs.place, inputs.key, "register", environment=inputs.environment)}


class DockerIdentity(Managed, module="keelson", name="DockerIdentity"):
    """A stack's entry on a Docker daemon."""

    provider = DockerIdentityProvider
    computed = ("stack_id",)

    stack_id: Output[str]


@dataclass(frozen=True)
class DockerEntryInputs:
    """The stack with its id."""

    place: str
    key: str
    environment: str
    stack_id: str


class DockerEntryProvider(Provider[DockerEntryInputs]):
    """The state volume knows whose it is; one that was lost learns it again, and its new mark has all parts looked after."""

    inputs = DockerEntryInputs
    compared: ClassVar = ("environment",)

    def identify(self, inputs: DockerEntryInputs) -> str:
        """Return `stack/entry`."""
        return f"{inputs.key}/entry"

    def make(self, inputs: DockerEntryInputs) -> Bag:
        """Write down whose the volume is, and read its mark."""
        own = {"environment": inputs.environment, "stack_id": inputs.stack_id}
        toolbox.ask(inputs.place, inputs.key, "register", **own)
        return {"mark": toolbox.ask(inputs.place, inputs.key, "mark")}

    def look(self, state: Bag) -> Bag | None:
        """Read the mark, which is another one where it was lost; nothing where the volume itself is gone."""
        place, key = state["place"], state["key"]
        return {"mark": toolbox.ask(place, key, "mark")} if toolbox_setup.has_state(place, key) else None


class DockerEntry(Managed, module="keelson", name="DockerEntry"):
    """What lies on the state volume; `mark` is another one when that was lost."""

    provider = DockerEntryProvider
    computed = ("mark",)

    mark: Output[str]


@dataclass(frozen=True)
class DockerSettingsInputs:
    """The stack's settings without secrets, as the toolbox reads them, and the mark of the volume that they lie on."""

    place: str
    key: str
    settings: str
    mark: str


class DockerSettingsProvider(Provider[DockerSettingsInputs]):
    """Written to the state volume, for toolbox and agent."""

    inputs = DockerSettingsInputs
    compared: ClassVar = ("settings", "mark")

    def identify(self, inputs: DockerSettingsInputs) -> str:
        """Return `stack/settings`."""
        return f"{inputs.key}/settings"

    def make(self, inputs: DockerSettingsInputs) -> Bag:
        """Write them down."""
        toolbox.ask(inputs.place, inputs.key, "put_settings", text=inputs.settings)
        return {}


class DockerSettings(Managed, module="keelson", name="DockerSettings"):
    """The settings of a stack inside."""

    provider = DockerSettingsProvider
