"""What a container's definition must know of an image, official or made here."""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    reference: str
    uid: int
    gid: int
    data: str
    programs: str
    timescale_edition: str = ""
    capabilities: tuple[str, ...] = ()

    @property
    def user(self) -> str:
        """User and group as a container's definition has them."""
        return f"{self.uid}:{self.gid}"
