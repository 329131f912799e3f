"""An application in a namespace of its own, which knows no more than its Secret says at the moment."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from keelson.entrances import Entrance
from tests.stack.harness import wait_until
from tests.stack.kubernetes_stack import KubernetesStack


@dataclass
class Shop:
    """The namespace of an application that uses the service `notes`."""

    stack: KubernetesStack

    def __post_init__(self) -> None:
        self._cluster = self.stack.cluster
        self._ways: dict[Entrance, dict[str, str]] = {}
        wait_until(lambda: self._cluster.get(f"/api/v1/namespaces/{self.namespace}") is None, "an earlier one is gone")
        self._cluster.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        clients = {"clients": {self.namespace: ["notes"]}}
        self.stack.write_settings(kubernetes=self.stack.settings["kubernetes"] | clients)

    @property
    def namespace(self) -> str:
        return f"{self.stack.key}-shop"

    def told(self) -> dict[str, str]:
        """Return what stands in the Secret."""
        secret = self._cluster.get(f"/api/v1/namespaces/{self.namespace}/secrets/notes-database")
        assert secret, "the application has its Secret"
        return {name: base64.b64decode(text).decode() for name, text in secret["data"].items()}

    def log_in(self, told: Mapping[str, str], entrance: Entrance = "primary") -> psycopg.Connection:
        """Log in as the Secret said, by a forwarded port, with the certificate that `told` names if it does."""
        if entrance not in self._ways:
            self._ways[entrance] = self.stack.endpoint("notes", "app", entrance).connection_parameters()
        login = {"user": told["PGUSER"], "password": told["PGPASSWORD"]}
        login |= {name: told[name] for name in ("sslcert", "sslkey") if name in told}
        return psycopg.connect(**self._ways[entrance] | login, autocommit=True)  # type: ignore[arg-type]

    def rotate(self, *options: str) -> None:
        """Rotate the service, and keep its generation when settings are written anew."""
        self.stack.keelson("rotate", "notes", *options)
        before = self.stack.settings.get("rotation", {"notes": 1})["notes"]
        self.stack.settings["rotation"] = {"notes": before - 1 if "--back" in options else before + 1}

    def close(self) -> None:
        """Remove the namespace."""
        self._cluster.delete(f"/api/v1/namespaces/{self.namespace}")
