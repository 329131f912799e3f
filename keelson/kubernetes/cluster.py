"""Which cluster and namespace is meant, and its API in plain JSON.

A place is `kubernetes:<namespace>` in the kubeconfig's current context, or `kubernetes:<namespace>@<context>`. Paths are the API's own,
such as `/api/v1/namespaces/prod/secrets`; `Cluster.at` makes those of the place's namespace.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from keelson.errors import SettingsError
from keelson.kubernetes import credentials, faults
from keelson.kubernetes.credentials import Link
from keelson.kubernetes.faults import MissingError
from keelson.reasons import reason

if TYPE_CHECKING:
    import urllib3

MANAGER = "keelson"  # of fields, in server-side apply
SECONDS_TO_CONNECT, SECONDS_TO_ANSWER = 10.0, 60.0
PATIENCE = 60.0  # seconds of asking an API again that is not well
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between
GOOD = 300  # statuses below are
UNWELL = frozenset({429, 500, 502, 503, 504})
NOT_DONE = frozenset({429, 503})  # so that even a create may be asked again

Json = dict[str, Any]
_ALL = "application/json"
_METADATA = f"{_ALL};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_OF_MANY = f"{_ALL};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_VERBS = {"GET": "get", "POST": "create", "PATCH": "change", "PUT": "replace", "DELETE": "delete"}


@dataclass(frozen=True)
class Found:
    """A namespace, and the kubeconfig's context that it is in; an empty one is the current one."""

    namespace: str
    context: str = ""


def find(place: str) -> Found:
    """Return what `place` means; raises SettingsError where it cannot be."""
    namespace, _, context = place.partition(":")[2].partition("@")
    if not _NAMESPACE.fullmatch(namespace):
        msg = f"{place!r} names no namespace; use at most 63 of a-z, 0-9 and '-' in keelson:kubernetes.namespace"
        raise SettingsError(msg)
    return Found(namespace, context)


_links: dict[str, Link] = {}
_lock = threading.Lock()


def connect(place: str) -> Cluster:
    """Return the cluster and namespace of a place, without asking it yet.

    Raises:
        SettingsError: there is no such context.
        PlatformError: its credentials cannot be had.
    """
    found = find(place)
    return Cluster(found, _link(found.context))


def _link(context: str, stale: Link | None = None) -> Link:
    """Return how a cluster is reached, read anew where what is known is stale."""
    with _lock:
        known = _links.get(context)
        if known is None or known is stale:
            known = _links[context] = credentials.load(context)
        return known


@dataclass(frozen=True)
class Question:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any = None
    content: str = "application/json"
    accept: str = "application/json"

    @property
    def verb(self) -> str:
        """What it would do, for people."""
        return _VERBS[self.method]

    def may_repeat(self, status: int) -> bool:
        """Say whether an answer of this status lets it be asked again."""
        return status in (NOT_DONE if self.method == "POST" else UNWELL)


class Cluster:
    """A cluster's API, and one namespace of it; of several threads at once.

    All raise `faults.ApiError` (a PlatformError) with the API's own reason, or when it does not answer. What the API says about
    itself (too many requests, not ready, an internal error) is asked again for a while.
    """

    def __init__(self, found: Found, link: Link) -> None:
        self.namespace, self._context = found.namespace, found.context
        self._known = link

    @property
    def link(self) -> Link:
        """How it is reached."""
        return self._known

    @property
    def name(self) -> str:
        """The context and the server, for people."""
        return f"{self.link.context} ({self.link.server})"

    def kubectl(self, words: str) -> str:
        """Return the command that shows people more."""
        return f"kubectl{self.link.option} -n {self.namespace} {words}"

    def at(self, resource: str, name: str = "", *, api: str = "v1") -> str:
        """Return the path of a kind's objects in the namespace, or of one; `api` is such as `v1` or `apps/v1`."""
        root = f"/api/{api}" if "/" not in api else f"/apis/{api}"
        return "/".join([f"{root}/namespaces/{self.namespace}/{resource}", *([name] if name else [])])

    def get(self, path: str, *, metadata: bool = False) -> Json | None:
        """Return an object, or with `metadata` that of it alone; None where there is none."""
        try:
            found: Json = self._ask(Question("GET", path, {}, accept=_METADATA if metadata else _ALL))
        except MissingError:
            return None
        return found

    def items(self, path: str, labels: str = "", fields: str = "", *, metadata: bool = False) -> list[Json]:
        """Return the objects of a kind that both selectors choose, or with `metadata` that of them alone."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        given = {name: value for name, value in query.items() if value}
        found = self._ask(Question("GET", path, given, accept=_METADATA_OF_MANY if metadata else _ALL))
        return list(found.get("items") or [])

    def create(self, path: str, body: Mapping[str, Any], *, trial: bool = False) -> Json:
        """Make an object below the path of its kind, or only have the API and its webhooks try; raises ConflictError where it is there."""
        return self._change("POST", path, body, **({"dryRun": "All"} if trial else {}))

    def apply(self, path: str, body: Mapping[str, Any]) -> Json:
        """Make an object or the fields that `body` names, and own these, whoever owned them before (server-side apply)."""
        return self._change("PATCH", path, body, content="application/apply-patch+yaml", force="true")

    def patch(self, path: str, body: Mapping[str, Any]) -> Json:
        """Change the fields that `body` names, and drop those where it says None (a merge patch)."""
        return self._change("PATCH", path, body, content="application/merge-patch+json")

    def replace(self, path: str, body: Mapping[str, Any]) -> Json:
        """Replace an object; raises ConflictError where its resourceVersion is another one by now."""
        return self._change("PUT", path, body)

    def delete(self, path: str, **options: object) -> bool:
        """Delete an object with the fields of DeleteOptions, and say whether there was one."""
        try:
            self._ask(Question("DELETE", path, {}, options or None))
        except MissingError:
            return False
        return True

    def _change(self, method: str, path: str, body: Mapping[str, Any], *, content: str = "", **query: str) -> Json:
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict", **query}
        changed: Json = self._ask(Question(method, path, query, body, content or "application/json"))
        return changed

    def _ask(self, question: Question) -> Any:  # noqa: ANN401 - JSON
        until = time.monotonic() + PATIENCE
        renewed = False
        for attempt in itertools.count():
            answer = self._send(question)
            if answer.status < GOOD:
                return json.loads(answer.data)
            if answer.status == faults.UNKNOWN_CALLER and not renewed:
                renewed = True
                self._known = _link(self._context, stale=self._known)
                continue
            wait = pause(attempt, answer.headers.get("Retry-After", ""))
            if not question.may_repeat(answer.status) or time.monotonic() + wait > until:
                raise faults.refused(self.link, question.verb, question.path, answer.status, answer.data)
            time.sleep(wait)
        raise AssertionError  # the count has no end

    def _send(self, question: Question) -> urllib3.BaseHTTPResponse:
        """Send once; once more where the connection, kept from an earlier question, had gone."""
        from urllib3.exceptions import HTTPError, ProtocolError  # noqa: PLC0415

        try:
            try:
                return self._carry(question)
            except ProtocolError:
                if question.method == "POST":
                    raise
                return self._carry(question)
        except HTTPError as fault:
            raise faults.unanswered(self.link, reason(fault)) from None

    def _carry(self, question: Question) -> urllib3.BaseHTTPResponse:
        from urllib3 import Timeout  # noqa: PLC0415

        query = f"?{urlencode(question.query)}" if question.query else ""
        headers = {"Accept": question.accept, "User-Agent": MANAGER, **self.link.headers()}
        if question.body is not None:
            headers["Content-Type"] = question.content
        return self.link.pool.request(
            question.method,
            f"{self.link.server}{question.path}{query}",
            body=None if question.body is None else json.dumps(question.body),
            headers=headers,
            retries=False,
            redirect=False,
            timeout=Timeout(connect=SECONDS_TO_CONNECT, read=SECONDS_TO_ANSWER),
        )


def pause(attempt: int, asked: str) -> float:
    """Return how long to wait: what the API asks for, else longer each time and not in step with others."""
    if asked.isdigit():
        return float(asked)
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt)
    return longest * random.uniform(0.5, 1)  # noqa: S311 - no secret
