"""The images that a stack's containers run: official ones by digest, or ones made here from Debian packages alone.

| module | holds |
|---|---|
| `official` | the official images, by tag and digest |
| `recipes` | what the images made here consist of, and their tags |
| `packages` | packages of PyPI for the Python of these images |
| `archive` | file trees as streams |
| `building` | making and pulling images on a daemon |
| `files` | entrypoints, lock file |

Both kinds keep one contract: the same variables, users, data directories and signals.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from keelson.docker.images import recipes
from keelson.docker.images.recipes import NAMES
from keelson.docker.images.traits import Image, Progress, Traits, silent

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["NAMES", "Image", "Progress", "Traits", "build", "ensure", "reference_of", "traits"]


def reference_of(name: str) -> str:
    """Return the reference of an image made here; no daemon is asked.

    Raises:
        PlatformError: the private root, which all of them stand on, is missing.
        SettingsError: there is no such image.
    """
    return recipes.find(name).reference


def traits(name: str) -> Traits:
    """Return what a container's definition must know of an image made here; raises as `reference_of` does."""
    return recipes.traits(name)


def build(client: DockerClient, names: Iterable[str] = NAMES, progress: Progress = silent) -> list[Image]:
    """Make the images that are missing and return all that were asked for.

    Args:
        client: the daemon.
        names: some of `NAMES`.
        progress: is told what is being made.

    Raises:
        PlatformError: the private root or uv is missing, or the daemon refused.
        SettingsError: there is no such image.
    """
    from keelson.docker.images import building  # noqa: PLC0415  # Docker's client is slow to load, and most do without

    return building.build(client, [recipes.find(name) for name in names], progress)


def ensure(client: DockerClient, name_or_reference: str, progress: Progress = silent) -> str:
    """Return the id of an image, made or pulled first where it is missing.

    Args:
        client: the daemon.
        name_or_reference: one of `NAMES`, or a reference: of an image made here, or of a registry's.
        progress: is told what is being made.

    Raises:
        PlatformError: it can neither be made nor pulled.
    """
    from keelson.docker.images import building  # noqa: PLC0415

    return building.ensure(client, name_or_reference, progress)
