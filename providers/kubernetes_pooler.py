"""A server's pooler that serves; the Pooler itself is another resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from keelson.kubernetes import names, poolers
from providers import values
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class KubernetesPoolerInputs:
    """Whose pooler it is, what changes with its Pooler, and with what its server's operator reads."""

    place: str
    key: str
    server: str
    digest: str
    files: str = ""


class KubernetesPoolerProvider(Provider[KubernetesPoolerInputs]):
    """Waited for."""

    inputs = KubernetesPoolerInputs
    compared: ClassVar = ("server", "digest", "files")
    fixed: ClassVar = {"place": "a stack does not move: make a new one in the other place and restore into it"}

    def identify(self, inputs: KubernetesPoolerInputs) -> str:
        """Return `stack/pooler`."""
        return f"{inputs.key}/{names.pooler(inputs.server)}"

    def make(self, inputs: KubernetesPoolerInputs) -> Bag:
        """Wait until it serves as its Pooler says."""
        poolers.bring(inputs.place, inputs.server, inputs.digest)
        return {}

    def look(self, state: Bag) -> Bag | None:
        """Say whether it is there."""
        given: Any = values.decode(KubernetesPoolerInputs, state)
        return state if poolers.is_there(given.place, given.server) else None


class KubernetesPooler(Managed, module="keelson", name="KubernetesPooler"):
    """A pooler that serves."""

    provider = KubernetesPoolerProvider
