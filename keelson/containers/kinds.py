"""The interface of a kind of part, as far as it is the same on every platform that runs containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from keelson.containers.model import ContainerSettings, PartSpec


class Kind(Protocol):
    """What is particular to one kind of part."""

    @property
    def logins(self) -> tuple[str, ...]:
        """Whose passwords are made before its first start."""

    @property
    def listens_on(self) -> int:
        """The port on the networks."""

    def check(self, spec: PartSpec) -> None:
        """Raise KeelsonError if the settings cannot work; asks nobody and changes nothing."""

    def container(self, spec: PartSpec) -> ContainerSettings:
        """Return what its container is like; asks nobody."""

    def files(self, spec: PartSpec) -> Mapping[str, str]:
        """Return what the container reads below `keelson.containers.model.CONFIG`, by path; for its own user's eyes only.

        The passwords of its logins are known to the stack's state by then.
        """
