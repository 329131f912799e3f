"""The operator that servers of several instances need; it is the cluster's, so it stays when the stack goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keelson.kubernetes import operator
from providers.base import Bag, Managed, Provider
from providers.part import tell


@dataclass(frozen=True)
class KubernetesOperatorInputs:
    """The cluster, whether to install it there, and from what."""

    place: str
    install: bool
    manifest: str
    sha256: str = ""


class KubernetesOperatorProvider(Provider[KubernetesOperatorInputs]):
    """It is found, or installed; it is never removed."""

    inputs = KubernetesOperatorInputs
    compared: ClassVar = ("install",)
    fixed: ClassVar = {}

    def identify(self, inputs: KubernetesOperatorInputs) -> str:
        """Return `place/operator`."""
        return f"{inputs.place}/operator"

    def make(self, inputs: KubernetesOperatorInputs) -> Bag:
        """See that it is there."""
        tell("CloudNativePG", operator.ensure(inputs.place, inputs.manifest, inputs.sha256, install=inputs.install))
        return {}

    def look(self, state: Bag) -> Bag | None:
        """Say whether it is there."""
        return None if operator.lack(state["place"]) else state


class KubernetesOperator(Managed, module="keelson", name="KubernetesOperator"):
    """CloudNativePG in the cluster."""

    provider = KubernetesOperatorProvider
