"""By which of its names clients come to a server: the one that takes writes, its replicas, or its pooler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from keelson.errors import SettingsError

Entrance = Literal["primary", "replicas", "pooler"]

VARIABLES: Mapping[Entrance, str] = {"replicas": "DATABASE_URL_READONLY", "pooler": "DATABASE_URL_POOLED"}
_FIELDS: Mapping[Entrance, str] = {"replicas": "readonly_host", "pooler": "pooler_host"}
_LACKS: Mapping[Entrance, str] = {
    "replicas": "has no replicas; set 'keelson:servers.{0}.ha' (target kubernetes) and run `keelson up`, or leave out --readonly",
    "pooler": "has no pooler; set 'keelson:servers.{0}.pooler' (target kubernetes) and run `keelson up`, or leave out --pooled",
}


def host_of(record: Mapping[str, Any], entrance: Entrance, stack: str) -> str:
    """Return the host of an entrance by the server's record in the registry; raises SettingsError where it has no such one."""
    if entrance == "primary":
        return str(record["host"])
    host = str(record.get(_FIELDS[entrance], ""))
    if not host:
        msg = f"server {record['name']} of stack {stack} {_LACKS[entrance].format(record['name'])}"
        raise SettingsError(msg)
    return host
