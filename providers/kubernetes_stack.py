"""A stack's ground in a cluster: its namespace, its volumes, and its entry in its own state."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import ClassVar

from pulumi import Output
from pulumi.output import Unknown

from keelson.errors import SettingsError
from keelson.kubernetes import ground, rendering
from keelson.kubernetes.cluster import Json
from providers.base import Bag, Managed, Provider
from providers.part import tell
from providers.state import StateEntryProvider, StateIdentityProvider, StateSettingsProvider

OURS, THEIRS = "pulumi", "gitops"  # settings of `workloads`
HANDOVER = (
    "'workloads' of keelson:kubernetes cannot change from pulumi to gitops at once, as Pulumi would delete what it made; "
    "write 'handover', run `keelson up`, and write 'gitops' then"
)
STAYS = (
    "a stack does not move: put 'namespace' and 'context' of keelson:kubernetes back, or make a new stack in the other place and "
    "restore into it"
)


@dataclass(frozen=True)
class KubernetesGroundInputs:
    """The cluster with the namespace, the stack, whose the workloads are, and which kinds the cluster must know, by the setting."""

    place: str
    key: str
    keeps: bool = False
    workloads: str = OURS
    needs: dict[str, str] = field(default_factory=dict)


class KubernetesGroundProvider(Provider[KubernetesGroundInputs]):
    """The namespace is there. It stays when the stack goes: backups lie in it. Its state goes, unless its data stay."""

    inputs = KubernetesGroundInputs
    compared: ClassVar = ("keeps", "workloads", "needs")
    fixed: ClassVar = {"place": STAYS}

    def identify(self, inputs: KubernetesGroundInputs) -> str:
        """Return `stack/ground`."""
        return f"{inputs.key}/ground"

    def examine(self, inputs: Bag, old: Bag) -> Bag:
        """Refuse to let workloads go that the engine would delete."""
        if old and old.get("workloads", OURS) == OURS and inputs.get("workloads") == THEIRS:
            raise SettingsError(HANDOVER)
        return inputs

    def make(self, inputs: KubernetesGroundInputs) -> Bag:
        """Make the namespace, or recognise the one that is there; another tool's must be."""
        ground.require(inputs.place, inputs.needs)
        if inputs.workloads == THEIRS:
            _see(inputs.place, ground.namespace(inputs.place, inputs.key))
        ground.ensure_namespace(inputs.place, inputs.key)
        return {}

    def look(self, state: Bag) -> Bag | None:
        """Say whether the namespace is there."""
        return state if ground.has_namespace(state["place"]) else None

    def remove(self, state: Bag) -> None:
        """Remove the stack's state and its parts' files, which are not deleted one by one."""
        if not state["keeps"]:
            ground.drop_secrets(state["place"], state["key"])


class KubernetesGround(Managed, module="keelson", name="KubernetesGround"):
    """The namespace that all else is in."""

    provider = KubernetesGroundProvider


@dataclass(frozen=True)
class KubernetesVolumeInputs:
    """A claim: whose it is, its name, and what it holds."""

    place: str
    key: str
    name: str
    claim: str
    size: str
    storage_class: str = ""
    kind: str = ""
    workloads: str = OURS

    @property
    def manifest(self) -> Json:
        """The claim as the API has it."""
        return ground.claim_of(asdict(self))


class KubernetesVolumeProvider(Provider[KubernetesVolumeInputs]):
    """It is made, found again, or grows; it never shrinks, and is never replaced."""

    inputs = KubernetesVolumeInputs
    compared: ClassVar = ("size", "kind", "workloads")
    fixed: ClassVar = {
        "place": STAYS,
        "key": "a stack keeps its name: make a new stack and restore into it",
        "claim": "a volume keeps its name: add another part and restore into it",
        "storage_class": "a volume keeps its class: add another server and restore into it",
    }

    def identify(self, inputs: KubernetesVolumeInputs) -> str:
        """Return `stack/claim`."""
        return f"{inputs.key}/{inputs.claim}"

    def examine(self, inputs: Bag, old: Bag) -> Bag:
        """Refuse a smaller one."""
        if old and not isinstance(inputs.get("size"), Unknown):
            ground.refuse_shrink(inputs["name"], old["size"], inputs["size"])
        return inputs

    def make(self, inputs: KubernetesVolumeInputs) -> Bag:
        """Make it, take it into service again, or let it grow; another tool's must be there."""
        if inputs.workloads == THEIRS:
            _see(inputs.place, inputs.manifest)
            return {}
        storage = (inputs.size, inputs.storage_class)
        ground.ensure_claim(inputs.place, inputs.key, inputs.name, inputs.claim, *storage, kind=inputs.kind)
        return {}

    def look(self, state: Bag) -> Bag | None:
        """Read its size."""
        size = ground.size_of(state["place"], state["claim"])
        return {"size": size} if size else None

    def remove(self, state: Bag) -> None:
        """Delete it with what it holds, unless it is another tool's."""
        if state.get("workloads") != THEIRS:
            ground.drop_claim(state["place"], state["claim"])


class KubernetesVolume(Managed, module="keelson", name="KubernetesVolume"):
    """The claim of a part's volume."""

    provider = KubernetesVolumeProvider


def _see(place: str, manifest: Json) -> None:
    """See that an object is there which another tool applies, and say where the cluster has another rendering."""
    if found := rendering.fault(place, manifest):
        tell(manifest["metadata"]["name"], [found])


class KubernetesIdentityProvider(StateIdentityProvider):
    """See there; the state is a Secret."""


class KubernetesIdentity(Managed, module="keelson", name="KubernetesIdentity"):
    """A stack's entry in a cluster."""

    provider = KubernetesIdentityProvider
    computed = ("stack_id",)

    stack_id: Output[str]


class KubernetesEntryProvider(StateEntryProvider):
    """See there; the state is a Secret."""

    @staticmethod
    def has_state(place: str, key: str) -> bool:  # noqa: ARG004 - the namespace is the stack's own
        """Say whether the Secret is there; a lost one is made again with the entry."""
        return ground.has_state(place)


class KubernetesEntry(Managed, module="keelson", name="KubernetesEntry"):
    """What the Secret holds; `mark` is another one when that was lost."""

    provider = KubernetesEntryProvider
    computed = ("mark",)

    mark: Output[str]


class KubernetesSettingsProvider(StateSettingsProvider):
    """See there; the state is a Secret."""


class KubernetesStackSettings(Managed, module="keelson", name="KubernetesStackSettings"):
    """The settings of a stack inside."""

    provider = KubernetesSettingsProvider
