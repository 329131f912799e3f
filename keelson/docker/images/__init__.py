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

from keelson.docker.images import recipes
from keelson.docker.images.building import Image, build, ensure
from keelson.docker.images.recipes import NAMES
from keelson.docker.images.traits import Traits

__all__ = ["NAMES", "Image", "Traits", "build", "ensure", "reference_of", "traits"]


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
