"""Passwords from a store outside of the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pulumi import Output

from keelson.kubernetes import external
from providers import values
from providers.base import Bag, Managed, Provider
from providers.kubernetes_stack import STAYS


@dataclass(frozen=True)
class KubernetesPasswordsInputs:
    """The stack, the servers of each login whose password is brought, and the mark of the state that keeps it."""

    place: str
    key: str
    logins: dict[str, list[str]] = field(default_factory=dict)
    remote: dict[str, Any] = field(default_factory=dict)  # where they lie
    mark: str = ""


class KubernetesPasswordsProvider(Provider[KubernetesPasswordsInputs]):
    """Taken from the Secret that the External Secrets Operator writes; a refresh sees that one is another by now."""

    inputs = KubernetesPasswordsInputs
    compared: ClassVar = ("logins", "remote", "mark")
    fixed: ClassVar = {"place": STAYS}

    def identify(self, inputs: KubernetesPasswordsInputs) -> str:
        """Return `stack/passwords`."""
        return f"{inputs.key}/passwords"

    def make(self, inputs: KubernetesPasswordsInputs) -> Bag:
        """Wait for them and take them over."""
        logins: Any = values.plain(inputs.logins)
        return {"taken": external.take(inputs.place, inputs.key, logins)}

    def look(self, state: Bag) -> Bag | None:
        """Say that they are there while they are those that were taken."""
        return state if external.is_taken(state["place"], state["key"]) else None

    def remove(self, state: Bag) -> None:
        """Leave the passwords as they are."""
        external.forget(state["place"], state["key"])


class KubernetesPasswords(Managed, module="keelson", name="KubernetesPasswords"):
    """Passwords from outside; `taken` changes with them."""

    provider = KubernetesPasswordsProvider
    computed = ("taken",)

    taken: Output[str]
