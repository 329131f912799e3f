"""What a stack of the target `docker` says of its daemon."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from keelson.settings.images import ImagesSettings


class DockerSettings(ImagesSettings):
    """The daemon, how its containers are reached, and from which images they are made."""

    context: Annotated[str, Field(pattern=r"^[^\s@]+(@[^\s@]+)?$")] | None = (
        None  # a context's name, or ssh://user@host, tcp://…
    )
    publish: bool = True  # whether servers and daemons get a port of the daemon's machine
    address: Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]+$")] = "127.0.0.1"  # on which of its addresses
