"""What a stack's state knows of the stack, where that lies with its platform: its id, its mark, its settings."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from keelson.containers.state import ask
from providers.base import Bag, Provider


@dataclass(frozen=True)
class IdentityInputs:
    """The names of a stack, and where it is."""

    place: str
    key: str
    environment: str


class StateIdentityProvider(Provider[IdentityInputs]):
    """A random id that marks what the stack owns. Nothing updates it, or a preview could not say what follows from it."""

    inputs = IdentityInputs
    compared: ClassVar = ()
    fixed: ClassVar = {"key": "a stack keeps its name: make a new stack and restore into it"}

    def identify(self, inputs: IdentityInputs) -> str:
        """Return the key."""
        return inputs.key

    def is_named_anew(self, state: Bag, new: Bag) -> bool:  # noqa: ARG002 - the base's signature
        """Never: nothing is asked of it later."""
        return False

    def make(self, inputs: IdentityInputs) -> Bag:
        """Make the entry, or recognise the one that is there."""
        return {"stack_id": ask(inputs.place, inputs.key, "register", environment=inputs.environment)}


@dataclass(frozen=True)
class EntryInputs:
    """The stack with its id."""

    place: str
    key: str
    environment: str
    stack_id: str


class StateEntryProvider(Provider[EntryInputs]):
    """The state knows whose it is; one that was lost learns it again, and its new mark has all parts looked after."""

    inputs = EntryInputs
    compared: ClassVar = ("environment",)

    def identify(self, inputs: EntryInputs) -> str:
        """Return `stack/entry`."""
        return f"{inputs.key}/entry"

    def make(self, inputs: EntryInputs) -> Bag:
        """Write down whose the state is, and read its mark."""
        own = {"environment": inputs.environment, "stack_id": inputs.stack_id}
        ask(inputs.place, inputs.key, "register", **own)
        return {"mark": ask(inputs.place, inputs.key, "mark")}

    def look(self, state: Bag) -> Bag | None:
        """Read the mark, which is another one where it was lost; nothing where there is no place for it any more."""
        place, key = state["place"], state["key"]
        return {"mark": ask(place, key, "mark")} if self.has_state(place, key) else None

    @staticmethod
    @abstractmethod
    def has_state(place: str, key: str) -> bool:
        """Say whether what holds the state is there."""


@dataclass(frozen=True)
class StateSettingsInputs:
    """The stack's settings without secrets, as the inside reads them, and the mark of the state that they lie with."""

    place: str
    key: str
    settings: str
    mark: str


class StateSettingsProvider(Provider[StateSettingsInputs]):
    """Written to the state, for toolbox and agent."""

    inputs = StateSettingsInputs
    compared: ClassVar = ("settings", "mark")

    def identify(self, inputs: StateSettingsInputs) -> str:
        """Return `stack/settings`."""
        return f"{inputs.key}/settings"

    def make(self, inputs: StateSettingsInputs) -> Bag:
        """Write them down."""
        ask(inputs.place, inputs.key, "put_settings", text=inputs.settings)
        return {}
