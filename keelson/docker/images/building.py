"""Making images on a Docker daemon without a registry and without BuildKit.

The base is imported as one archive. Every other image is a container of its parent that never starts: its files go in by the
archive interface, and it is committed with its configuration. What is there under its tag is not made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
from docker import DockerClient, errors

from keelson import paths
from keelson.docker.images import archive, recipes
from keelson.docker.images.recipes import Recipe
from keelson.docker.images.traits import Image, Progress, silent
from keelson.errors import PlatformError

_PATIENCE = 900  # seconds for one step of the daemon's
_PREFIX = f"{recipes.REPOSITORY}/"

_KEPT = 24 * 3600  # seconds that an image of before stays: another checkout may be about to use it


def build(client: DockerClient, wanted: Sequence[Recipe], progress: Progress = silent) -> list[Image]:
    """Make what is missing, as `keelson.docker.images.build` says, and forget what was made before and is not used."""
    with _alone(), _patient(client):
        try:
            found = [_present(client, recipe) or _make(client, recipe, progress) for recipe in wanted]
            for recipe, image in zip(wanted, found, strict=True):
                if image.made:
                    forget(client, recipe, time.time() - _KEPT)
        except (errors.DockerException, requests.RequestException) as fault:
            msg = f"the Docker daemon could not make an image: {_said(fault)}; see that it runs and has room, and run `keelson images build` again"
            raise PlatformError(msg) from None
    return found


def ensure(client: DockerClient, name_or_reference: str, progress: Progress = silent) -> str:
    """Return the id of an image as `keelson.docker.images.ensure` says."""
    if name_or_reference in recipes.NAMES:
        return build(client, [recipes.find(name_or_reference)], progress)[0].identity
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


def forget(client: DockerClient, recipe: Recipe, before: float) -> None:
    """Remove images of the same names as a recipe and those below it that are older than `before` and not used."""
    kept, names = {recipe.reference}, {recipe.name}
    below = recipe.parent
    while below:
        kept, names, below = kept | {below.reference}, names | {below.name}, below.parent
    found = [image for name in names for image in client.api.images(filters={"label": f"{recipes.NAME_LABEL}={name}"})]
    for image in sorted(found, key=lambda each: -each["Created"]):  # those that stand on others first
        if image["Created"] < before and not kept & {*(image["RepoTags"] or [])}:
            with contextlib.suppress(errors.APIError):  # a container or another image uses it
                client.api.remove_image(image["Id"])


def _build_reference(client: DockerClient, reference: str, progress: Progress) -> str:
    name = reference.removeprefix(_PREFIX).partition(":")[0]
    recipe = recipes.find(name)
    if recipe.reference != reference:
        msg = (
            f"the image {reference} is not on the daemon, and this checkout makes {recipe.reference}; run `keelson up`"
        )
        raise PlatformError(msg)
    return build(client, [recipe], progress)[0].identity


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
