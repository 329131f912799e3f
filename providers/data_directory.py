"""A server's data directory on this machine: what lives in it is deleted with it, never with a process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pulumi import Output

from keelson.errors import SettingsError
from keelson.local import data_directory, root
from keelson.local.spec import ServerSpec
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class DataDirectoryInputs:
    """Whose directory it is, the version that the settings ask for, and where it lies (by default under the user's data)."""

    key: str
    stack_id: str
    server: str
    version: str
    path: str = ""

    @property
    def spec(self) -> ServerSpec:
        """What the library takes."""
        place = Path(self.path) if self.path else None
        return ServerSpec(key=self.key, stack_id=self.stack_id, name=self.server, data_directory=place)


class DataDirectoryProvider(Provider[DataDirectoryInputs]):
    """Made by initdb with checksums; moved when the settings name another place."""

    inputs = DataDirectoryInputs
    compared: ClassVar = ("path", "version")

    def identify(self, inputs: DataDirectoryInputs) -> str:
        """Return `stack/server`."""
        return f"{inputs.key}/{inputs.server}"

    def examine(self, inputs: Bag, old: Bag) -> Bag:  # noqa: ARG002 - the base's signature
        """Refuse a version that is not installed."""
        refuse_other_major(inputs["server"], inputs["version"])
        return inputs

    def make(self, inputs: DataDirectoryInputs) -> Bag:
        """Initialise, or recognise what is there."""
        return {"location": str(data_directory.make_data_directory(inputs.spec))}

    def change(self, inputs: DataDirectoryInputs, state: Bag) -> Bag:
        """Move the data, after a clean stop; the process starts it again from its new place."""
        return {"location": str(data_directory.move_data(inputs.spec, Path(state["location"])))}

    def look(self, state: Bag) -> Bag | None:
        """Say whether the directory is there."""
        return state if Path(state["location"]).is_dir() else None

    def remove(self, state: Bag) -> None:
        """Remove the data, if this stack made it."""
        data_directory.remove_data(state["key"], state["stack_id"], state["server"], Path(state["location"]))


class DataDirectory(Managed, module="keelson", name="DataDirectory"):
    """A server's data directory; `location` is its path."""

    provider = DataDirectoryProvider
    computed = ("location",)

    location: Output[str]


def refuse_other_major(server: str, version: str) -> None:
    """Raise SettingsError when `version` has another major number than the installed server."""
    installed = root.find()
    if version.partition(".")[0] != str(installed.postgres_major):
        msg = (
            f"server {server}: the settings ask for PostgreSQL {version}, and {installed.postgres_version} is installed; "
            f"set version to {installed.postgres_major}"
        )
        raise SettingsError(msg)
