"""Images that a registry has, or that are here already. Builds are left to the official plugin."""

from __future__ import annotations

from typing import Any

import docker.errors
import docker.utils

from .session import PluginError, Session, daemons_words

Bag = dict[str, Any]


def find(session: Session, name: str, platform: str = "") -> Bag:
    """Return the image as the daemon has it, pulled where it is not here.

    Raises:
        PluginError: it is neither here nor to be had.
    """
    found = _here(session, name)
    if not found:
        with daemons_words(f"unable to pull image {name}: error pulling image {name}"):
            repository, tag = docker.utils.parse_repository_tag(name)
            session.api.pull(repository, tag or "latest", platform=platform or None)
        found = _here(session, name)
    if not found:
        msg = f"unable to find or pull image {name}"
        raise PluginError(msg)
    return found


def _here(session: Session, name: str) -> Bag | None:
    with daemons_words(f"unable to inspect image {name}"):
        try:
            return dict(session.api.inspect_image(name))  # type: ignore[no-untyped-call]
        except docker.errors.NotFound:
            return None


def create(session: Session, inputs: Bag) -> tuple[str, Bag]:
    """Find or pull the image."""
    if inputs.get("build"):
        msg = "Unable to build the image: the stand-in does not build; use the official plugin"
        raise PluginError(msg)
    try:
        found = find(session, inputs["name"], inputs.get("platform", ""))
    except PluginError as fault:
        msg = f"Unable to read Docker image into resource: {fault}"
        raise PluginError(msg) from fault
    return found["Id"] + inputs["name"], _outputs(inputs["name"], found)


def read(session: Session, _identity: str, state: Bag) -> Bag | None:
    """Return what the daemon says, None when the image is gone."""
    found = _here(session, state["name"])
    return _outputs(state["name"], found) if found else None


def _outputs(name: str, found: Bag) -> Bag:
    digests = found.get("RepoDigests") or []
    repository = docker.utils.parse_repository_tag(name)[0]
    own = [each for each in digests if each.partition("@")[0] == repository]
    return {"imageId": found["Id"], "repoDigest": next(iter(own or digests), "")}


def update(session: Session, _identity: str, _olds: Bag, news: Bag) -> None:
    """Find the image again; nothing else can change in place."""
    find(session, news["name"], news.get("platform", ""))


def delete(session: Session, _identity: str, state: Bag) -> None:
    """Remove the image unless it is to be kept."""
    if state.get("keepLocally") or not _here(session, state["name"]):
        return
    with daemons_words("Unable to remove Docker image"):
        session.api.remove_image(state["name"], force=bool(state.get("forceRemove")))
