"""From which images the containers of a stack are made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from keelson.settings.model import Settings

ImageName = Literal[
    "postgres",
    "timescaledb",
    "redis",
    "pgadmin",
    "agent",
    "postgres-ha",
    "pgbouncer",
    "haproxy",
    "postgres-exporter",
    "redis-exporter",
]


class ImageSettings(Settings):
    """An image of the user's own in place of a usual one; without ids it works as the usual one's user."""

    reference: Annotated[str, Field(pattern=r"^[^\s@]+(@sha256:[0-9a-f]{64})?$")]
    uid: Annotated[int, Field(ge=1, le=2**31)] | None = None
    gid: Annotated[int, Field(ge=0, le=2**31)] | None = None


class ImagesSettings(Settings):
    """The usual images, and those that the user has in place of some."""

    images: Literal["official", "debian"] = "official"  # debian: those that `keelson images build` makes
    image: dict[ImageName, ImageSettings] = Field(default_factory=dict)

    @field_validator("image", mode="before")
    @classmethod
    def _references(cls, value: object) -> object:
        """Take a plain text for an image's reference."""
        if not isinstance(value, dict):
            return value
        return {name: {"reference": of} if isinstance(of, str) else of for name, of in value.items()}
