"""What a stack of the target `docker` says of its daemon and its images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from keelson.settings.model import Settings

ImageName = Literal["postgres", "timescaledb", "redis", "pgadmin", "agent"]


class ImageSettings(Settings):
    """An image of the user's own in place of a usual one; without ids it works as the usual one's user."""

    reference: Annotated[str, Field(pattern=r"^[^\s@]+(@sha256:[0-9a-f]{64})?$")]
    uid: Annotated[int, Field(ge=1, le=2**31)] | None = None
    gid: Annotated[int, Field(ge=0, le=2**31)] | None = None


class DockerSettings(Settings):
    """The daemon, how its containers are reached, and from which images they are made."""

    context: Annotated[str, Field(pattern=r"^[^\s@]+(@[^\s@]+)?$")] | None = (
        None  # a context's name, or ssh://user@host, tcp://…
    )
    publish: bool = True  # whether servers and daemons get a port of the daemon's machine
    address: Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]+$")] = "127.0.0.1"  # on which of its addresses
    images: Literal["official", "debian"] = "official"  # debian: those that `keelson images build` makes
    image: dict[ImageName, ImageSettings] = Field(default_factory=dict)

    @field_validator("image", mode="before")
    @classmethod
    def _references(cls, value: object) -> object:
        """Take a plain text for an image's reference."""
        if not isinstance(value, dict):
            return value
        return {name: {"reference": of} if isinstance(of, str) else of for name, of in value.items()}
