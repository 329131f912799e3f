"""A client of the API server that needs nothing but the standard library."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
PLURALS = {"StorageClass": "storageclasses"}  # of which the rule does not hold


class RefusedError(Exception):
    """What the API server answered in place of what was asked for."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status = status


class Api:
    """Speaks to the server of a kubeconfig, as its client."""

    def __init__(self, kubeconfig: Path, timeout: float = 10) -> None:
        read = json.loads(kubeconfig.read_text())
        cluster, user = read["clusters"][0]["cluster"], read["users"][0]["user"]
        self._at = urlsplit(cluster["server"])
        self._timeout = timeout
        self._trust = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
        with tempfile.NamedTemporaryFile("w") as both:
            both.write(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
            both.flush()
            self._trust.load_cert_chain(both.name)

    def ask(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:  # noqa: ANN401 - JSON
        """Return the answer, decoded where it is JSON.

        Raises:
            RefusedError: the server answered with a fault.
            OSError, http.client.HTTPException: it did not answer.
        """
        connection = http.client.HTTPSConnection(
            str(self._at.hostname), self._at.port, timeout=self._timeout, context=self._trust
        )
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise RefusedError(answer.status, text)
        return json.loads(text) if text.startswith("{") else text

    def apply(self, thing: dict[str, Any]) -> None:
        """Make an object, or bring it to what `thing` says, by server-side apply."""
        self.ask("PATCH", f"{path_of(thing)}?fieldManager=tools&force=true", thing, APPLY)


def path_of(thing: dict[str, Any]) -> str:
    """Return the path of an object whose kind is plain enough."""
    group = thing["apiVersion"]
    plural = PLURALS.get(thing["kind"], f"{thing['kind'].lower()}s")
    namespace = thing["metadata"].get("namespace")
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"/{'apis' if '/' in group else 'api'}/{group}{within}/{plural}/{thing['metadata']['name']}"


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
