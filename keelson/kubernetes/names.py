"""The labels and names by which the objects of a stack are known."""

from __future__ import annotations

import hashlib
import re

from keelson.settings.monitoring import EXPORTERS

STACK_LABEL = "keelson.dev/stack"  # also an annotation, which has the stack's whole key
PART_LABEL = "keelson.dev/part"
MEMBER_LABEL = "keelson.dev/member-of"  # of a part that another one has beside its own pod: the name of that one
COMPONENT_LABEL = "app.kubernetes.io/component"
JOB_LABEL = "keelson.dev/job"  # of a CronJob: the job's name in the stack
MANAGED_BY = {"app.kubernetes.io/managed-by": "keelson"}
TOOLBOX = "toolbox"
JOB = "backup"  # the part that the pods of all backup jobs are
DRILL = "drill"  # those of all drills
STATE = "keelson-state"  # the Secret
BACKUPS = "backups"  # the claim of their volume
SOFTWARE = {  # all else is of Keelson itself
    "server": "postgresql",
    "cluster": "postgresql",
    "redis": "redis",
    "pgadmin": "pgadmin",
    **{kind: kind for kind in EXPORTERS.values()},
}

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")

# What CloudNativePG says of the pods of a server with several instances.
POOLER_LABEL = "cnpg.io/poolerName"
NAMESPACE_LABEL = "kubernetes.io/metadata.name"  # of each namespace, by the cluster itself
CLUSTER_LABEL = "cnpg.io/cluster"
ROLE_LABEL, PRIMARY = "cnpg.io/instanceRole", "primary"


def stack_label(key: str) -> str:
    """Return a stack's key as a label's value, which is at most 63 characters long and ends with a letter or digit."""
    if _LABEL.fullmatch(key):
        return key
    return f"{key[:50]}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def labels(key: str, part: str = "") -> dict[str, str]:
    """Return the labels of what belongs to a stack, or to one of its parts."""
    return {**MANAGED_BY, STACK_LABEL: stack_label(key), **({PART_LABEL: part} if part else {})}


def told_of(key: str, kind: str) -> dict[str, str]:
    """Return the labels that Kubernetes recommends, by which other tools know a part of that kind; no selector reads them."""
    return {
        "app.kubernetes.io/name": SOFTWARE.get(kind, "keelson"),
        "app.kubernetes.io/instance": stack_label(key),
        COMPONENT_LABEL: kind,
        "app.kubernetes.io/part-of": "keelson",
    }


def selector(key: str, part: str) -> str:
    """Return how a part's pods are found."""
    return f"{STACK_LABEL}={stack_label(key)},{PART_LABEL}={part}"


def of(part: str) -> str:
    """Return how a part's objects are called, and its Service, which is its name in the namespace."""
    return part.replace("_", "-")


def dns(service: str, namespace: str) -> tuple[str, ...]:
    """Return every name of a Service: in its own namespace, and from others."""
    inside = f"{service}.{namespace}"
    return (service, inside, f"{inside}.svc", f"{inside}.svc.cluster.local")


def config(part: str) -> str:
    """Return the Secret of a part's files."""
    return f"{of(part)}-config"


def data(part: str) -> str:
    """Return the claim of the volume of a part's data."""
    return f"{of(part)}-data"


def writable(part: str) -> str:
    """Return the Service of the instance that takes writes."""
    return f"{of(part)}-rw"


def replicas(part: str) -> str:
    """Return the Service of all others."""
    return f"{of(part)}-ro"


def pooler(part: str) -> str:
    """Return the Service of what shares connections to a server among many clients."""
    return f"{of(part)}-pooler"


def superuser(part: str) -> str:
    """Return the Secret with the administrator's password, for the operator."""
    return f"{of(part)}-superuser"


def archive(part: str) -> str:
    """Return the ObjectStore of a server's archive, the Secret with the key to it, and the schedule of its backups."""
    return f"{of(part)}-archive"


def certificate(part: str) -> str:
    """Return the Secret with a server's certificate, for the operator."""
    return f"{of(part)}-tls"
