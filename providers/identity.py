"""The stack's own entry on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pulumi import Output

from keelson.local import stack
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class IdentityInputs:
    """The names of a stack."""

    key: str
    environment: str


class IdentityProvider(Provider[IdentityInputs]):
    """A random id that marks what the stack owns, and the directories that bear its key; goes last."""

    inputs = IdentityInputs
    compared: ClassVar = ("environment",)
    fixed: ClassVar = {"key": "a stack keeps its name: make a new stack and restore into it"}

    def identify(self, inputs: IdentityInputs) -> str:
        """Return the key."""
        return inputs.key

    def make(self, inputs: IdentityInputs) -> Bag:
        """Make the entry, or recognise the one that an interrupted run made."""
        return {"stack_id": stack.register(inputs.key, inputs.environment)}

    def change(self, inputs: IdentityInputs, state: Bag) -> Bag:
        """Note the new environment; the id stays."""
        stack.register(inputs.key, inputs.environment)
        return {"stack_id": state["stack_id"]}

    def remove(self, state: Bag) -> None:
        """End the stack's supervisor and remove all but backups."""
        stack.remove(state["key"], state["stack_id"])


class Identity(Managed, module="keelson", name="Identity"):
    """A stack's entry on this machine."""

    provider = IdentityProvider
    computed = ("stack_id",)

    stack_id: Output[str]
