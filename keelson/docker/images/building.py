"""Making images on a Docker daemon without a registry and without BuildKit.

The base is imported as one archive. Every other image is a container of its parent that never starts: its files go in by the
archive interface, and it is committed with its configuration. What is there under its tag is not made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from docker import DockerClient, errors

from keelson import paths
from keelson.docker.images import archive, recipes
from keelson.docker.images.recipes import Recipe
from keelson.errors import PlatformError

_PATIENCE = 900  # seconds for one step of the daemon's
_PREFIX = f"{recipes.REPOSITORY}/"

Progress = Callable[[str, int], None]  # the image that is being made, and how many bytes of it have just gone


@dataclass(frozen=True)
class Image:
    """An image on the daemon."""

    name: str
    reference: str
    identity: str  # sha256:…
    size: int  # bytes, with all that it shares with others
    made: bool  # now; else it was there


def silent(_: str, __: int) -> None:
    """Tell nobody."""


def build(client: DockerClient, names: Iterable[str] = recipes.NAMES, progress: Progress = silent) -> list[Image]:
    """Make the images that are missing and return all that were asked for.

    Args:
        client: the daemon.
        names: some of `recipes.NAMES`.
        progress: is told what is being made.

    Raises:
        PlatformError: the private root or uv is missing, or the daemon refused.
        SettingsError: there is no such image.
    """
    wanted = [recipes.find(name) for name in names]
    with _alone(), _patient(client):
        try:
            return [_present(client, recipe) or _make(client, recipe, progress) for recipe in wanted]
        except (errors.DockerException, requests.RequestException) as fault:
            msg = f"the Docker daemon could not make an image: {_said(fault)}; see that it runs and has room, and run `keelson images build` again"
            raise PlatformError(msg) from None


def ensure(client: DockerClient, name_or_reference: str, progress: Progress = silent) -> str:
    """Return the id of an image, made or pulled first where it is missing.

    Args:
        client: the daemon.
        name_or_reference: a name of `recipes.NAMES`, or a reference: of an image made here, or of a registry's.
        progress: is told what is being made.

    Raises:
        PlatformError: it can neither be made nor pulled.
    """
    if name_or_reference in recipes.NAMES:
        return build(client, [name_or_reference], progress)[0].identity
    try:
        return str(client.images.get(name_or_reference).id)
    except errors.ImageNotFound:
        pass
    except (errors.DockerException, requests.RequestException) as fault:
        msg = f"the Docker daemon could not be asked for {name_or_reference}: {_said(fault)}; see that it runs"
        raise PlatformError(msg) from None
    if name_or_reference.startswith(_PREFIX):
        return _build_reference(client, name_or_reference, progress)
    return _pull(client, name_or_reference)


def _build_reference(client: DockerClient, reference: str, progress: Progress) -> str:
    name = reference.removeprefix(_PREFIX).partition(":")[0]
    recipe = recipes.find(name)
    if recipe.reference != reference:
        msg = (
            f"the image {reference} is not on the daemon, and this checkout makes {recipe.reference}; run `keelson up`"
        )
        raise PlatformError(msg)
    return build(client, [name], progress)[0].identity


def _pull(client: DockerClient, reference: str) -> str:
    try:
        with _alone(), _patient(client):
            client.api.pull(reference)
            return str(client.images.get(reference).id)
    except (errors.DockerException, requests.RequestException) as fault:
        msg = (
            f"the image {reference} could not be pulled: {_said(fault)}; see that its registry can be reached,"
            " or make the images here: `keelson images build`, and `keelson:docker: {images: debian}` in the stack's settings"
        )
        raise PlatformError(msg) from None


def _present(client: DockerClient, recipe: Recipe, *, made: bool = False) -> Image | None:
    try:
        found = client.images.get(recipe.reference)
    except errors.ImageNotFound:
        return None
    return Image(recipe.name, recipe.reference, str(found.id), int(found.attrs["Size"]), made)


def _make(client: DockerClient, recipe: Recipe, progress: Progress) -> Image:
    if recipe.parent is None:
        _import(client, recipe, progress)
    else:
        if _present(client, recipe.parent) is None:
            _make(client, recipe.parent, progress)
        _commit(client, recipe, recipe.parent, progress)
    made = _present(client, recipe, made=True)
    if made is None:
        msg = f"the daemon made {recipe.reference} but does not have it; run `keelson images build` again"
        raise PlatformError(msg)
    return made


def _import(client: DockerClient, recipe: Recipe, progress: Progress) -> None:
    repository, _, tag = recipe.reference.partition(":")
    answer = client.api.import_image_from_data(
        _stream(recipe, progress), repository, tag, [*recipe.instructions, *recipe.labels]
    )
    if '"error"' in answer:  # the daemon answers 200 and tells it in the text
        raise errors.APIError(answer)


def _commit(client: DockerClient, recipe: Recipe, parent: Recipe, progress: Progress) -> None:
    repository, _, tag = recipe.reference.partition(":")
    name = f"keelson-images-{recipe.name}-{recipe.key}"
    _remove(client, name)  # of a build that was killed
    client.api.create_container(parent.reference, ["/bin/true"], name=name, stop_signal=recipe.stop_signal or None)
    try:
        client.api.put_archive(name, "/", _stream(recipe, progress))
        client.api.commit(name, repository, tag, changes=[*recipe.instructions, *recipe.labels])
    finally:
        _remove(client, name)


def _stream(recipe: Recipe, progress: Progress) -> Iterator[bytes]:
    return archive.stream(recipe.members(), lambda count: progress(recipe.name, count))


def _remove(client: DockerClient, container: str) -> None:
    with contextlib.suppress(errors.NotFound):
        client.api.remove_container(container, force=True)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other builds of this user away, until the block ends."""
    lock = paths.private_directory(paths.private_directory(paths.cache()) / "images") / ".build.lock"
    descriptor = os.open(Path(lock), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _patient(client: DockerClient) -> Iterator[None]:
    """Let the daemon take its time: it unpacks and packs hundreds of megabytes in one request. For the holder of `_alone`."""
    before, client.api.timeout = client.api.timeout, _PATIENCE
    try:
        yield
    finally:
        client.api.timeout = before


def _said(fault: Exception) -> str:
    text = fault.explanation if isinstance(fault, errors.APIError) and fault.explanation else str(fault)
    return str(text).strip().rstrip(".")
