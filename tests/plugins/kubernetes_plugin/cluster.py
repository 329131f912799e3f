"""The API server: requests about objects, and the kinds that it has."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
import urllib3.exceptions
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTResponse
from plugin.wire import Bag

PATIENCE = (5.0, 60.0)  # seconds to connect, and to be answered
CONTENT_TYPES = {
    "POST": "application/json",
    "PUT": "application/json",
    "DELETE": "application/json",
    "PATCH": "application/apply-patch+yaml",
}


class PluginError(Exception):
    """A sentence for the user."""


class UnreachableError(PluginError):
    """Nobody answers."""


class NoMatchError(PluginError):
    """The API server does not have this kind."""


class RefusedError(PluginError):
    """The API server's own words."""

    def __init__(self, code: int, status: Bag) -> None:
        super().__init__(status.get("message") or f"the server answered with status {code}")
        self.code = code
        self.reason = status.get("reason", "")
        self.about = status.get("details", {}).get("kind", "")


@dataclass(frozen=True)
class Mapped:
    """Where the objects of a kind are."""

    path: str
    plural: str
    namespaced: bool

    def of(self, namespace: str, name: str = "") -> str:
        """Return the path of an object, or of all in a namespace."""
        within = f"/namespaces/{namespace or 'default'}" if self.namespaced else ""
        return f"{self.path}{within}/{self.plural}" + (f"/{name}" if name else "")


class Cluster:
    """One API server."""

    def __init__(self, configuration: Configuration) -> None:
        configuration.connection_pool_maxsize = 64
        configuration.retries = urllib3.Retry(1, backoff_factor=0.1, status=0, redirect=0)
        self._client = ApiClient(configuration)
        self._kinds: dict[str, dict[str, Mapped]] = {}
        self._lock = threading.Lock()

    def request(self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> Bag:
        """Ask, and return the answer.

        Raises:
            UnreachableError: nobody answers there.
            RefusedError: the API server refuses.
        """
        kind = "application/json-patch+json" if isinstance(body, list) else CONTENT_TYPES.get(method)
        headers = {"Accept": "application/json"} | ({"Content-Type": kind} if kind else {})
        serialized = self._client.param_serialize(
            method, path, query_params=[*(query or {}).items()], header_params=headers, auth_settings=["BearerToken"]
        )
        try:
            answer = self._client.call_api(*serialized[:3], body=body, _request_timeout=PATIENCE)
            text = answer.read()  # type: ignore[no-untyped-call]
        except (ApiException, urllib3.exceptions.HTTPError) as fault:
            msg = f'{method.title()} "{serialized[1]}": {fault.reason if isinstance(fault, ApiException) else fault}'
            raise UnreachableError(msg) from fault
        return _checked(answer, text)

    def kinds(self, api_version: str) -> dict[str, Mapped]:
        """Return the kinds of a group's version."""
        with self._lock:
            if api_version not in self._kinds:
                path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
                try:
                    resources = self.request("GET", path)["resources"]
                except RefusedError as fault:
                    if fault.code != 404:
                        raise
                    return {}
                found = [each for each in resources if "/" not in each["name"]]
                self._kinds[api_version] = {
                    each["kind"]: Mapped(path, each["name"], bool(each["namespaced"])) for each in found
                }
            return self._kinds[api_version]

    def forget_kinds(self) -> None:
        """Have the API server asked anew, as a definition came or went."""
        with self._lock:
            self._kinds.clear()

    def mapped(self, thing: Bag) -> Mapped:
        """Return where an object's kind is.

        Raises:
            NoMatchError: there is none, also when asked again.
        """
        api_version, kind = thing.get("apiVersion", ""), thing.get("kind", "")
        if kind not in self.kinds(api_version):
            self.forget_kinds()
        if kind not in self.kinds(api_version):
            msg = f'no matches for kind "{kind}" in version "{api_version}"'
            raise NoMatchError(msg)
        return self.kinds(api_version)[kind]

    def get(self, thing: Bag, name: str = "") -> Bag:
        """Return the live object of a name, usually the object's own."""
        metadata = thing["metadata"]
        return self.request("GET", self.mapped(thing).of(metadata.get("namespace", ""), name or metadata["name"]))

    def listed(self, api_version: str, kind: str, namespace: str, query: Mapping[str, str] | None = None) -> list[Bag]:
        """Return the objects of a kind in a namespace."""
        path = self.mapped({"apiVersion": api_version, "kind": kind}).of(namespace)
        return list(self.request("GET", path, query=query).get("items") or ())


def _checked(answer: RESTResponse, text: bytes | None) -> Bag:
    try:
        said = json.loads(text or b"{}")
    except ValueError:
        said = {"message": (text or b"").decode(errors="replace").strip()}
    if not 200 <= answer.status < 300:
        raise RefusedError(answer.status, said)
    return dict(said)
