"""An object that a GitOps tool applies: looked for, and compared with its rendering."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from keelson.kubernetes import rendering
from providers import values
from providers.base import Bag, Managed, Provider
from providers.part import tell


@dataclass(frozen=True)
class KubernetesAppliedInputs:
    """The cluster with the namespace, the stack, and the object as `keelson render` writes it."""

    place: str
    key: str
    manifest: dict[str, Any] = field(default_factory=dict)


class KubernetesAppliedProvider(Provider[KubernetesAppliedInputs]):
    """It is there before what stands on it is made; it is never made, changed or deleted."""

    inputs = KubernetesAppliedInputs
    compared: ClassVar = ("manifest",)

    def identify(self, inputs: KubernetesAppliedInputs) -> str:
        """Return `stack/kind-name`."""
        return f"{inputs.key}/{rendering.stem(inputs.manifest)}"

    def make(self, inputs: KubernetesAppliedInputs) -> Bag:
        """See that it is there, and say where the cluster runs another rendering."""
        manifest: Any = values.plain(inputs.manifest)
        if found := rendering.fault(inputs.place, manifest):
            tell(manifest["metadata"]["name"], [found])
        return {}

    def look(self, state: Bag) -> Bag | None:
        """Say whether it is there."""
        manifest: Any = values.plain(state["manifest"])
        return state if rendering.is_there(state["place"], manifest) else None


class KubernetesApplied(Managed, module="keelson", name="KubernetesApplied"):
    """What must be in the cluster, applied by another tool."""

    provider = KubernetesAppliedProvider
