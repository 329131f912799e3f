"""Whether a cluster lets everybody read the passwords and data of a namespace: what files' modes say of a machine."""

from __future__ import annotations

from collections.abc import Iterator

from keelson.kubernetes.cluster import Cluster

REVIEWS = "authorization.k8s.io/v1"
READING = (  # each leads to passwords: a Secret, or a file in a container
    ("get", "secrets", ""),
    ("list", "secrets", ""),
    ("create", "pods", "exec"),
)


def open_to(found: Cluster) -> tuple[str, ...]:
    """Return what those may do to whom nobody granted anything by name; raises ForbiddenError where it may not be asked."""
    return tuple(_open_to(found))


def _open_to(found: Cluster) -> Iterator[str]:
    for who, groups in _strangers(found.namespace).items():
        for verb, resource, part in READING:
            if _may(found, groups, verb, resource, part):
                yield f"{who} may {verb} {'/'.join(filter(None, (resource, part)))} in the namespace {found.namespace}"


def _strangers(namespace: str) -> dict[str, list[str]]:
    """Return who has no right but those of the groups to which the cluster itself counts them."""
    accounts = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    return {"every account": accounts, "who does not log in": ["system:unauthenticated"]}


def _may(found: Cluster, groups: list[str], verb: str, resource: str, part: str) -> bool:
    asked = {"namespace": found.namespace, "verb": verb, "resource": resource, "subresource": part}
    review = found.create(
        found.at("localsubjectaccessreviews", api=REVIEWS),
        {
            "apiVersion": REVIEWS,
            "kind": "LocalSubjectAccessReview",
            "metadata": {"namespace": found.namespace},
            "spec": {"groups": groups, "resourceAttributes": asked},
        },
    )
    return bool(review["status"]["allowed"])
