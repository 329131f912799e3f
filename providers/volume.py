"""The directory of a daemon's data on this machine: what lives in it is deleted with it, never with a process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pulumi import Output

from keelson.local import volume
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class VolumeInputs:
    """Whose directory it is."""

    key: str
    stack_id: str
    name: str


class VolumeProvider(Provider[VolumeInputs]):
    """An empty, marked directory, mode 0700."""

    inputs = VolumeInputs
    compared: ClassVar = ()

    def identify(self, inputs: VolumeInputs) -> str:
        """Return `stack/daemon`."""
        return f"{inputs.key}/{inputs.name}"

    def make(self, inputs: VolumeInputs) -> Bag:
        """Make it, or recognise what is there."""
        return {"location": str(volume.make(inputs.key, inputs.stack_id, inputs.name))}

    def look(self, state: Bag) -> Bag | None:
        """Say whether the directory is there."""
        return state if Path(state["location"]).is_dir() else None

    def remove(self, state: Bag) -> None:
        """Remove the data, if this stack made it."""
        volume.remove(state["key"], state["stack_id"], state["name"])


class Volume(Managed, module="keelson", name="Volume"):
    """A daemon's directory; `location` is its path."""

    provider = VolumeProvider
    computed = ("location",)

    location: Output[str]
