"""Passwords that the External Secrets Operator brings from a store: waited for, taken over, and seen to be others."""

from __future__ import annotations

import base64
import time
from collections.abc import Collection, Mapping
from typing import Any

from keelson.containers import digest
from keelson.errors import UnreachableError
from keelson.kubernetes import cluster, state
from keelson.kubernetes.cluster import Cluster, Json

SECRET = "keelson-passwords"  # noqa: S105 - its name, and that of the ExternalSecret
API, KIND = "external-secrets.io/v1", "ExternalSecret"
SECONDS = 60.0  # for the operator to bring them
POLL = 0.25


def spec(store: Mapping[str, str], refresh: str, passwords: Mapping[str, Mapping[str, str]]) -> Json:
    """Return the spec of the ExternalSecret.

    Args:
        store: `name` and `kind`.
        refresh: how often the store is asked, for example 1h.
        passwords: by login, `key` and, where there is one, `property`.
    """
    data = [{"secretKey": login, "remoteRef": dict(remote)} for login, remote in sorted(passwords.items())]
    return {
        "refreshInterval": refresh,
        "secretStoreRef": dict(store),
        "target": {"name": SECRET, "creationPolicy": "Owner"},
        "data": data,
    }


def take(place: str, key: str, logins: Mapping[str, list[str]]) -> str:
    """Wait until the passwords are there, and keep them in the stack's state; return what changes with them.

    Args:
        place: the cluster and namespace.
        key: the stack's key.
        logins: the servers of each login.

    Raises:
        UnreachableError: the operator does not bring them; the sentence says what it says.
    """
    found, until = cluster.connect(place), time.monotonic() + SECONDS
    while (passwords := _read(found, logins)) is None:
        if time.monotonic() > until:
            raise UnreachableError(_missing(found, logins))
        time.sleep(POLL)
    return str(state.ask(place, key, "take_external", logins=logins, passwords=passwords))


def is_taken(place: str, key: str) -> bool:
    """Say whether the stack has the passwords that the cluster has now; where it has none from outside there is nothing to take."""
    note: Mapping[str, Any] = state.ask(place, key, "external")
    if not note:
        return True
    passwords = _read(cluster.connect(place), note["logins"])
    return passwords is not None and digest.beside(passwords, note["salted"]) == note["salted"]


def forget(place: str, key: str) -> None:
    """Let the passwords be the stack's own from now on, as they are."""
    state.ask(place, key, "forget_external")


def _read(found: Cluster, logins: Collection[str]) -> dict[str, str] | None:
    """Return the passwords; None while one is missing, or the operator has not seen yet what it shall bring."""
    external = found.get(_path(found))
    if external and _waits(external):
        return None
    data = (found.get(found.at("secrets", SECRET)) or {}).get("data") or {}
    try:
        texts = {login: base64.b64decode(data.get(login, "")).decode() for login in logins}
    except UnicodeDecodeError:
        return None
    return texts if all(texts.values()) else None


def _waits(external: Json) -> bool:
    """Say whether what the operator brought is of an older version of the ExternalSecret."""
    brought = str((external.get("status") or {}).get("syncedResourceVersion") or "").partition("-")[0]
    return brought.isdigit() and int(brought) < int(external["metadata"].get("generation", 0))


def _missing(found: Cluster, logins: Collection[str]) -> str:
    data = (found.get(found.at("secrets", SECRET)) or {}).get("data") or {}
    lacking = ", ".join(sorted(login for login in logins if not data.get(login))) or "what is asked for now"
    said = _condition(found.get(_path(found)))
    look = found.kubectl(f"describe externalsecret {SECRET}")
    return (
        f"the External Secrets Operator did not bring {lacking} into the Secret {SECRET} in namespace {found.namespace} of the cluster "
        f"{found.name} within {SECONDS:.0f} s{f' ({said})' if said else ''}; see `{look}`, and run `keelson up` again"
    )


def _condition(external: Json | None) -> str:
    conditions = ((external or {}).get("status") or {}).get("conditions") or ()
    found = (str(each.get("message", "")) for each in conditions if each.get("status") != "True")
    return " ".join(next(found, "").split()).rstrip(".")


def _path(found: Cluster) -> str:
    return found.at("externalsecrets", SECRET, api=API)
