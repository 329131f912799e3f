"""Volumes. Cluster volumes need a swarm and are left to the official plugin."""

from __future__ import annotations

from typing import Any

import docker.errors

from .session import PluginError, Session, daemons_words, label_list, label_map

Bag = dict[str, Any]


def create(session: Session, inputs: Bag) -> tuple[str, Bag]:
    """Create the volume; one of that name that is there already is taken over, as the daemon does it."""
    if inputs.get("cluster"):
        msg = "Unable to create volume: the stand-in has no cluster volumes; use the official plugin"
        raise PluginError(msg)
    with daemons_words("Unable to create volume"):
        made = session.api.create_volume(
            inputs.get("name"), inputs.get("driver"), inputs.get("driverOpts"), label_map(inputs.get("labels"))
        )
    return made["Name"], read(session, made["Name"], inputs) or {}


def read(session: Session, identity: str, _state: Bag) -> Bag | None:
    """Return what the daemon says, None when the volume is gone."""
    with daemons_words("Unable to inspect volume"):
        try:
            found = session.api.inspect_volume(identity)
        except docker.errors.NotFound:
            return None
    return {
        "name": found["Name"],
        "labels": label_list(found["Labels"]),
        "driver": found["Driver"],
        "driverOpts": found["Options"] or {},
        "mountpoint": found["Mountpoint"],
    }


def update(_session: Session, _identity: str, _olds: Bag, _news: Bag) -> None:
    """Do nothing: every change but a cluster's replaces a volume."""


def delete(session: Session, identity: str, _state: Bag) -> None:
    """Remove the volume, once no container has it any more."""
    refusals: list[str] = []

    def removed() -> bool:
        try:
            session.api.remove_volume(identity, force=True)
        except docker.errors.NotFound:
            return True
        except docker.errors.APIError as fault:
            if "volume is in use" not in str(fault.explanation):
                raise
            refusals.append(str(fault.explanation))
            return False
        return True

    with daemons_words("Unable to remove volume"):
        if not session.until(removed, session.patience):
            msg = f"Unable to remove volume: Error response from daemon: {refusals[-1]}"
            raise PluginError(msg)
