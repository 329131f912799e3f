"""What the resources of a part are alike in, wherever it is a container: its inputs, what never changes, and what is checked before."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from pulumi.output import Unknown

from providers import certificates, values
from providers.base import Bag, Provider

FIXED = {
    "key": "a stack keeps its name: make a new stack and restore into it",
    "name": "a part keeps its name: add another one and restore into it",
    "kind": "a part keeps its kind: add another one",
}


@dataclass(frozen=True)
class PartInputs:
    """What `keelson.containers.model.PartSpec` has."""

    place: str
    key: str
    stack_id: str
    name: str
    kind: str
    image: str
    uid: int
    gid: int
    settings: dict[str, Any] = field(default_factory=dict)
    data_stays: bool = False


Inputs = TypeVar("Inputs", bound=PartInputs)


class FilesProvider(Provider[Inputs]):
    """What a part reads."""

    fixed: ClassVar = FIXED

    def identify(self, inputs: Inputs) -> str:
        """Return `stack/part/files`."""
        return f"{inputs.key}/{inputs.name}/files"

    def differs(self, state: Bag, new: Bag) -> bool:
        """Also say so once a certificate among them is to be renewed."""
        relies = certificates.relies(new["kind"], new.get("settings") or {})
        return super().differs(state, new) or (relies and certificates.due(new["name"], state))

    @staticmethod
    def certificate(inputs: Inputs) -> dict[str, str]:
        """Return which of their certificates is renewed first; nothing where they have none."""
        return certificates.of_part(inputs.place, inputs.key, inputs.name, inputs.kind, inputs.settings)

    @staticmethod
    def look_at_certificate(state: Bag) -> Bag:
        """Return the output `certificate` as it is now."""
        place, key, name, kind = (str(state[each]) for each in ("place", "key", "name", "kind"))
        return {certificates.OUTPUT: certificates.of_part(place, key, name, kind, state.get("settings") or {})}

    def examine(self, inputs: Bag, old: Bag) -> Bag:
        """Let its kind look at settings that changed; its platform is not asked."""
        if not isinstance(inputs.get("settings"), Unknown) and inputs.get("settings") != old.get("settings"):
            known = {key: "" if isinstance(value, Unknown) else value for key, value in inputs.items()}
            before: Any = values.plain(old.get("settings") or {})
            self.check_settings(known, before)
        return inputs

    @abstractmethod
    def check_settings(self, inputs: Bag, old: Bag) -> None:
        """Raise KeelsonError where they cannot work, or `old` settings cannot become these."""


class ProcessProvider(Provider[Inputs]):
    """A part that answers."""

    fixed: ClassVar = FIXED

    def identify(self, inputs: Inputs) -> str:
        """Return `stack/part`."""
        return f"{inputs.key}/{inputs.name}"


def tell(name: str, notes: Iterable[str]) -> None:
    """Say what the user should know of a part."""
    for note in notes:
        print(f"{name}: {note}", flush=True)  # noqa: T201 - the engine shows what a provider prints
