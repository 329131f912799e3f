"""What a cluster's API refuses, as one sentence that names the cluster, the object and the next step."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from keelson.errors import PlatformError
from keelson.kubernetes.credentials import Link

UNKNOWN_CALLER, FORBIDDEN, MISSING, CONFLICT, TOO_MANY = 401, 403, 404, 409, 429

_STEPS = (
    (r"violates PodSecurity", "correct the pod, or the namespace's label pod-security.kubernetes.io/enforce"),
    (r"(?:maximum|minimum) \S+ usage per|limit to request ratio", "give it what the namespace's LimitRange allows (`memory`, `cpus`), or have that changed"),
    (r"exceeded quota|failed quota", "free what is not needed, or have the namespace's ResourceQuota raised"),
    (r"denied (?:the )?request", "do as the webhook or policy says, or ask who runs it"),
    (r"failed calling webhook", "mend or remove the webhook, see `kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations`"),
    (r"immutable|updates to .* are forbidden|may not be changed", "take the change back, or delete the object and run the command again"),
    (r"being terminated", "wait until it is gone and run the command again"),
    (r"unknown field|unknown version|no matches for kind", "the cluster is of another version than is expected; upgrade it"),
)  # fmt: skip
_DENIED = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)")?'
)
_VALUE = re.compile(r'Invalid value: ("(?:[^"\\]|\\.)*"|\S+?)(?=:|$)')


class ApiError(PlatformError):
    """The cluster's API refuses something, or does not answer."""


class UnansweredError(ApiError):
    """The cluster's API does not answer."""


class ConflictError(ApiError):
    """Somebody else changed or made the object meanwhile."""


class ForbiddenError(ApiError):
    """Who asks may not do it."""


class MissingError(ApiError):
    """The object, or what it would lie in, is not there."""


def unanswered(link: Link, reason: str) -> UnansweredError:
    """Return the error of a cluster that cannot be reached."""
    certificate = "certificate" in reason.lower()
    step = (
        "correct certificate-authority-data or tls-server-name in the kubeconfig"
        if certificate
        else f"see `kubectl{link.option} cluster-info`, or name another context in keelson:kubernetes.context"
    )
    return UnansweredError(f"no Kubernetes API answers at {link.server} (context {link.context}: {reason}); {step}")


def refused(link: Link, verb: str, path: str, code: int, body: bytes) -> ApiError:
    """Return the error of an answer that is none."""
    said = _said(body) or f"status {code}"
    if "/secrets" in path:
        said = _VALUE.sub("a value is invalid", said)
    where, what = f"the cluster {link.context} ({link.server})", f"{verb} {described(path)}"
    if code == UNKNOWN_CALLER:
        return ApiError(
            f"{where} does not know who asks ({said}); renew the credentials, see `kubectl{link.option} auth whoami`"
        )
    if code == FORBIDDEN and (denied := _DENIED.search(said)):
        return ForbiddenError(f"{where} forbids to {what}: {_right(link, denied)}")
    kind = {FORBIDDEN: ForbiddenError, MISSING: MissingError, CONFLICT: ConflictError}.get(code, ApiError)
    return kind(f"{where} refuses to {what}: {said}; {_step(code, said)}")


def described(path: str) -> str:
    """Return what a path of the API is about: `secrets/keelson-state in namespace prod`."""
    words = path.partition("?")[0].strip("/").split("/")
    words = words[2:] if words[0] == "api" else words[3:]
    if words[:1] != ["namespaces"] or len(words) < 3:  # noqa: PLR2004 - a namespace itself
        return "/".join(words)
    return f"{'/'.join(words[2:])} in namespace {words[1]}"


def _right(link: Link, denied: re.Match[str]) -> str:
    """Return whom the administrator should allow what, and how to look whether it is."""
    resource = denied["resource"] + (f".{denied['group']}" if denied["group"] else "")
    scope = f" -n {denied['namespace']}" if denied["namespace"] else ""
    said = f"{denied['user']} may not {denied['verb']} {resource}"
    return f"{said}; have a Role bound that allows it, see `kubectl{link.option} auth can-i {denied['verb']} {resource}{scope}`"


def step(said: str) -> str:
    """Return what to do about a refusal of the API's own words; nothing where that is not known."""
    return next((step for pattern, step in _STEPS if re.search(pattern, said)), "")


def _step(code: int, said: str) -> str:
    if known := step(said):
        return known
    if code == CONFLICT:
        return "run the command again"
    if code == TOO_MANY or code >= 500:  # noqa: PLR2004 - the server's own faults
        return "wait until the cluster is well, and run the command again"
    return "correct it and run the command again"


def _said(body: bytes) -> str:
    """Return what a Status object says, or what stands there in place of one."""
    try:
        status: Any = json.loads(body)
    except ValueError:
        status = body.decode(errors="replace")[:500]
    said = status.get("message", "") if isinstance(status, Mapping) else status
    return " ".join(str(said).split()).rstrip(".")
