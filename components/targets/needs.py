"""What settings ask of a cluster that is no part of Kubernetes itself."""

from __future__ import annotations

from typing import Any

from components.targets.page import ROUTE
from keelson.kubernetes import barman, external
from keelson.monitoring.watched import API, KINDS
from keelson.settings import point_in_time
from keelson.settings.external import ExternalSecretsSettings
from keelson.settings.stack import StackSettings


def of(settings: StackSettings) -> dict[str, dict[str, str]]:
    """Return as the input `needs` which kinds the cluster must know, each with its setting; nothing where none is needed."""
    found = {}
    if settings.pgadmin.enabled and settings.pgadmin.gateway:
        found["/".join(ROUTE.values())] = "pgadmin.gateway"
    if settings.kubernetes.external_secrets:
        found[f"{external.API}/{external.KIND}"] = "kubernetes.external_secrets"
    if any(point_in_time.is_archived(settings, name) for name in settings.servers):
        found[f"{barman.API}/{barman.KIND}"] = "point_in_time"
    if settings.kubernetes.monitoring:
        found |= {f"{API}/{kind}": "kubernetes.monitoring" for kind in KINDS}
    return {"needs": found} if found else {}


def remote(settings: ExternalSecretsSettings) -> tuple[dict[str, str], str, dict[str, Any]]:
    """Return what the spec of an ExternalSecret is made of: the store, how often it is asked, and where each password lies."""
    passwords = {login: each.model_dump(exclude_none=True) for login, each in settings.passwords.items()}
    return {"name": settings.store, "kind": settings.kind}, settings.refresh, passwords
