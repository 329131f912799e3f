"""What a stack's namespace may ask for, as a ResourceQuota, and what containers are given that ask for nothing."""

from __future__ import annotations

from typing import Any

from keelson.settings.limits import CPUS
from keelson.settings.quota import QuotaSettings

MEMORY = "256Mi"  # of a container that says nothing; those of the stack all do
Json = dict[str, Any]


def hard(quota: QuotaSettings) -> dict[str, str]:
    """Return the limits of a ResourceQuota. That of processors is for what is asked: what a pod may take beyond is not bounded."""
    limits = {
        "requests.cpu": f"{quota.cpus:g}" if quota.cpus else "",
        "requests.memory": quota.memory or "",
        "limits.memory": quota.memory or "",
        "requests.storage": quota.storage or "",
        "pods": str(quota.pods or ""),
    }
    return {name: limit for name, limit in limits.items() if limit}


def usual(quota: QuotaSettings) -> Json:
    """Return the limits of a LimitRange: without them a quota has pods refused that say nothing; empty where none is needed."""
    memory = {"memory": MEMORY} if quota.memory else {}
    asked = memory | ({"cpu": f"{CPUS:g}"} if quota.cpus else {})
    if not asked:
        return {}
    return {"type": "Container", "defaultRequest": asked, **({"default": memory} if memory else {})}
