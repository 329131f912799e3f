"""The turns of a service's logins: what its roles take of them, and the end of those that were in use before."""

from __future__ import annotations

from typing import Any

from pulumi import ResourceOptions

from keelson.endpoint import Reference
from keelson.settings.stack import StackSettings
from providers.rotation import Rotation


def inputs(settings: StackSettings, service: str) -> dict[str, Any]:
    """Return what the roles of a service take of it; nothing for a service that was never rotated."""
    if service not in settings.rotation:
        return {}
    external = settings.kubernetes.external_secrets
    outside = {"outside": sorted(external.passwords)} if external else {}
    return {"generation": settings.rotation[service], "overlap": settings.rotate_overlap, **outside}


def end(service: str, administrator: Reference, settings: StackSettings, opts: ResourceOptions) -> Rotation:
    """Make Rotation <service>-rotation."""
    given = {
        "reference": administrator.as_input(),
        "service": service,
        "generation": settings.rotation[service],
        "overlap": settings.rotate_overlap,
    }
    return Rotation(f"{service}-rotation", given, opts)
