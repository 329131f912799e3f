"""A server or daemon as a pod: what it reads, and that it answers; the workload between the two is the engine's own."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from pulumi import Output

from keelson.kubernetes import part, upgrades
from keelson.kubernetes.part import KubernetesSpec
from providers import certificates, values
from providers import part as part_resources
from providers.base import Bag, Managed
from providers.part import FilesProvider, PartInputs, ProcessProvider, tell

FIXED = part_resources.FIXED | {
    "kind": "a part keeps what it is: add another server with the 'ha' that is wanted, and restore its databases into it",
    "place": "volumes do not move: destroy the stack, or make a new one in the other place and restore into it",
}


@dataclass(frozen=True)
class KubernetesPartInputs(PartInputs):
    """What `keelson.kubernetes.part.KubernetesSpec` has."""

    @property
    def spec(self) -> KubernetesSpec:
        """What the library takes."""
        given: Any = {each.name: getattr(self, each.name) for each in fields(KubernetesSpec)}
        return KubernetesSpec(**given | {"settings": values.plain(self.settings)})


@dataclass(frozen=True)
class KubernetesFilesInputs(KubernetesPartInputs):
    """Beside that, the mark of the stack's state, and the passwords that the user chose, by login."""

    mark: str = ""
    passwords: dict[str, str] = field(default_factory=dict)
    uses: dict[str, str] = field(default_factory=dict)  # those of others that stand in its files


@dataclass(frozen=True)
class KubernetesProcessInputs(KubernetesPartInputs):
    """Beside that, what changes with the workload, and the digest of the files that it reads."""

    workload: str = ""
    digest: str = ""


class KubernetesFilesProvider(FilesProvider[KubernetesFilesInputs]):
    """Written to the Secret that the pod mounts; before another image takes data over, they are backed up."""

    inputs = KubernetesFilesInputs
    compared: ClassVar = ("image", "settings", "passwords", "uses", "data_stays", "mark")
    fixed: ClassVar = FIXED

    def check_settings(self, inputs: Bag, old: Bag) -> None:
        """Let its kind look at them."""
        part.check(_spec(inputs), old)

    def make(self, inputs: KubernetesFilesInputs) -> Bag:
        """Write what differs."""
        digest = part.write_files(inputs.spec, inputs.passwords)
        return {"digest": digest, certificates.OUTPUT: self.certificate(inputs)}

    def change(self, inputs: KubernetesFilesInputs, state: Bag) -> Bag:
        """Try other parameters, back up what another image would take over, and write what differs."""
        if values.plain(inputs.settings) != values.plain(state["settings"]):
            tell(inputs.name, part.try_parameters(inputs.spec))
        if inputs.image != state["image"]:
            tell(inputs.name, upgrades.back_up_before(inputs.spec))
        part.prepare(inputs.spec)
        return self.make(inputs)

    def look(self, state: Bag) -> Bag | None:
        """Read what lies beside the files."""
        spec = _spec(state)
        found = part.written(spec)
        return {"digest": found, **self.look_at_certificate(state)} if found or not state["digest"] else None

    def remove(self, state: Bag) -> None:
        """Strike it out; its volume is a resource of its own."""
        part.forget(_spec(state))


class KubernetesFiles(Managed, module="keelson", name="KubernetesFiles"):
    """What a part's pod reads; `digest` changes with it, `certificate` says when it does by itself."""

    provider = KubernetesFilesProvider
    computed = ("digest", certificates.OUTPUT)

    digest: Output[str]
    certificate: Output[dict[str, str]]


class KubernetesPartProvider(ProcessProvider[KubernetesProcessInputs]):
    """Waited for, and brought to what its files say; the workload itself is another resource."""

    inputs = KubernetesProcessInputs
    compared: ClassVar = ("image", "workload", "digest", "settings")
    fixed: ClassVar = FIXED

    def make(self, inputs: KubernetesProcessInputs) -> Bag:
        """Wait until it answers as its files say now."""
        tell(inputs.name, part.bring(inputs.spec))
        return {"listens_on": part.kind(inputs.kind).listens_on}

    def remove(self, state: Bag) -> None:
        """End what its workload leaves behind for its data: instances of a Cluster that stays."""
        part.rest(_spec(state))


class KubernetesPart(Managed, module="keelson", name="KubernetesPart"):
    """A part that answers; `listens_on` is its Service's port."""

    provider = KubernetesPartProvider
    computed = ("listens_on",)

    listens_on: Output[int]


def _spec(bag: Bag) -> KubernetesSpec:
    return values.decode(KubernetesPartInputs, bag).spec
