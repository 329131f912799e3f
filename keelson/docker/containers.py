"""The containers of a stack as they are now, asked all at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keelson.docker import daemon, names

FRESH = 1.0  # seconds that an answer is good for: many connections are made at once


@dataclass(frozen=True)
class Publication:
    """A port of a container that is published on an address of the daemon's machine."""

    inner: int
    address: str
    port: int


@dataclass(frozen=True)
class Seen:
    """One container; `status` is the daemon's text for people, such as `Up 3 minutes (healthy)`."""

    id: str
    name: str
    part: str
    state: str
    status: str
    published: tuple[Publication, ...] = ()

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.state == "running"

    @property
    def healthy(self) -> bool:
        """Whether the daemon found it well."""
        return self.running and "(healthy)" in self.status

    @property
    def unhealthy(self) -> bool:
        """Whether the daemon found it unwell again and again."""
        return self.running and "(unhealthy)" in self.status

    def publication(self, inner: int) -> Publication | None:
        """Return where the port `inner` is published."""
        return next((each for each in self.published if each.inner == inner), None)


_known: dict[tuple[str, str], tuple[float, Mapping[str, Seen]]] = {}
_lock = threading.Lock()


def of_stack(place: str, key: str) -> Mapping[str, Seen]:
    """Return the containers of a stack by part, as they were within the last second; raises PlatformError."""
    with _lock:
        at, found = _known.get((place, key), (-FRESH, {}))
        return found if time.monotonic() - at < FRESH else _look(place, key)


def forget(place: str, key: str) -> None:
    """Let the next question ask the daemon, because the containers were changed."""
    with _lock:
        _known.pop((place, key), None)


def look(place: str, key: str) -> Mapping[str, Seen]:
    """Return the containers of a stack by part, as they are now; raises PlatformError."""
    with _lock:
        return _look(place, key)


def _look(place: str, key: str) -> Mapping[str, Seen]:
    client = daemon.connect(place)
    with daemon.sentences(place):
        entries = client.api.containers(all=True, filters={"label": f"{names.STACK_LABEL}={key}"})
    found = map(_seen, entries)
    by_part = {each.part: each for each in found if each.name == names.container(key, each.part)}
    _known[place, key] = time.monotonic(), by_part
    return by_part


def _seen(entry: Mapping[str, Any]) -> Seen:
    published = {
        (each["PrivatePort"], each.get("IP", "0.0.0.0"), each["PublicPort"])  # noqa: S104 - read, not bound
        for each in entry.get("Ports") or ()
        if each.get("PublicPort")
    }
    return Seen(
        id=entry["Id"],
        name=entry["Names"][0].removeprefix("/"),
        part=entry["Labels"].get(names.PART_LABEL, ""),
        state=entry["State"],
        status=entry["Status"],
        published=tuple(Publication(*each) for each in sorted(published)),
    )
