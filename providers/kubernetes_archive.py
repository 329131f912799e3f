"""The key to the bucket that a server is archived in, as a Secret that the operator's plugin reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from keelson.kubernetes import archives
from providers import values
from providers.base import Bag, Managed, Provider


@dataclass(frozen=True)
class KubernetesArchiveInputs:
    """Whose archive it is, and the key to the bucket."""

    place: str
    key: str
    server: str
    access_key: str
    region: str
    bucket_secret: str = field(default="", repr=False)  # empty: the one that was set before
    mark: str = ""  # another one where the stack's passwords were lost


class KubernetesArchiveProvider(Provider[KubernetesArchiveInputs]):
    """Written before the server is told to archive; removed when it no longer is."""

    inputs = KubernetesArchiveInputs
    compared: ClassVar = ("access_key", "region", "bucket_secret", "mark")
    fixed: ClassVar = {"place": "a stack does not move: make a new one in the other place and restore into it"}

    def identify(self, inputs: KubernetesArchiveInputs) -> str:
        """Return `stack/server/archive`."""
        return f"{inputs.key}/{inputs.server}/archive"

    def make(self, inputs: KubernetesArchiveInputs) -> Bag:
        """Write the Secret."""
        key = {"access_key": inputs.access_key, "secret": inputs.bucket_secret, "region": inputs.region}
        archives.write_key(inputs.place, inputs.key, inputs.server, **key)
        return {}

    def remove(self, state: Bag) -> None:
        """Delete the Secret."""
        archives.drop_key(str(state["place"]), str(state["server"]))

    def look(self, state: Bag) -> Bag | None:
        """Say whether it is there."""
        given: Any = values.decode(KubernetesArchiveInputs, state)
        return state if archives.has_key(given.place, given.server) else None


class KubernetesArchive(Managed, module="keelson", name="KubernetesArchive"):
    """The key to the bucket of a server's archive."""

    provider = KubernetesArchiveProvider
