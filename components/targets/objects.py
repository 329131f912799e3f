"""A stack's objects in the API: made by the engine's plugin, or left to a GitOps tool, and then only looked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pulumi import Resource, ResourceOptions

from keelson.kubernetes import rendering
from providers.kubernetes_applied import KubernetesApplied

if TYPE_CHECKING:
    from keelson.settings.stack import Stack

Json = dict[str, Any]


class Objects:
    """Makes all of a stack's objects, whoever applies them.

    Every object of the API that is not a Secret goes through here: then `keelson render` writes it, and a stack whose workloads are
    a GitOps tool's has it from there.
    """

    def __init__(self, stack: Stack) -> None:
        self._workloads = stack.settings.kubernetes.workloads
        self._at = {"place": stack.settings.place, "key": stack.key}

    @property
    def applied_elsewhere(self) -> bool:
        """Whether a GitOps tool applies them."""
        return self._workloads == "gitops"

    @property
    def note(self) -> dict[str, str]:
        """What resources of ours take that stand for an object too: whose the workloads are, where they are not the engine's alone."""
        return {} if self._workloads == "pulumi" else {"workloads": self._workloads}

    def make(self, wanted: type[Any], name: str, /, *, opts: ResourceOptions, **fields: Any) -> Resource:  # noqa: ANN401 - the API's
        """Make an object, or what looks for it.

        Args:
            wanted: a class of pulumi_kubernetes, which takes `fields`.
            name: of the resource.
            opts: of the resource, with the plugin's provider where that makes it.
            fields: as `kind` has them, with plain dictionaries inside; a CustomResource has `api_version` and `kind` too.
        """
        if not self.applied_elsewhere:
            left = ResourceOptions(retain_on_delete=True) if self._workloads == "handover" else ResourceOptions()
            made: Resource = wanted(name, **fields, opts=ResourceOptions.merge(opts, left))
            return made
        manifest = rendering.bare(_identity(wanted) | {_camel(field): value for field, value in fields.items()})
        return KubernetesApplied(rendering.stem(manifest), self._at | {"manifest": manifest}, opts)


def _identity(wanted: type[Any]) -> Json:
    """Return version and kind of a class of pulumi_kubernetes; nothing for a CustomResource, which is told them."""
    token: str | None = getattr(wanted, "pulumi_type", None)
    if token is None:
        return {}
    _, version, name = token.split(":")
    return {"apiVersion": version.removeprefix("core/"), "kind": name}


def _camel(field: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), field)
