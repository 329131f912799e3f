"""What is known of an image: what a container's definition must know, official or made here; what a daemon has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[str, int], None]  # the image that is being made, and how many bytes of it have just gone


@dataclass(frozen=True)
class Traits:
    """One image.

    Attributes:
        reference: what the daemon knows it by.
        uid: whom its process is.
        gid: that user's group.
        data: the directory of its data, where a volume is mounted; it belongs to that user in the image.
        programs: the directory of its programs, where the product calls some by path.
        timescale_edition: `apache` or `community`, empty where it holds no TimescaleDB.
        capabilities: what must not be dropped, or it does not start.
        pgaudit: whether it is known to hold pgAudit.
    """

    reference: str
    uid: int
    gid: int
    data: str
    programs: str
    timescale_edition: str = ""
    capabilities: tuple[str, ...] = ()
    pgaudit: bool = False

    @property
    def user(self) -> str:
        """User and group as a container's definition has them."""
        return f"{self.uid}:{self.gid}"


@dataclass(frozen=True)
class Image:
    """An image made here, on the daemon."""

    name: str
    reference: str
    identity: str  # sha256:…
    size: int  # bytes, with all that it shares with others
    made: bool  # now; else it was there


def silent(_: str, __: int) -> None:
    """Tell nobody."""
