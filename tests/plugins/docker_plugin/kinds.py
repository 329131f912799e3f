"""What is said about each resource type: its inputs, defaults, what replaces it, what the daemon fills in.

The bridge derives all this from the schema of the Terraform provider; here it is written down from the same source.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from plugin.shapes import DEFAULTS, Shape, shape_of
from plugin.wire import UNKNOWN, Bag, holds_unknown
from pulumi_docker.container import ContainerArgs
from pulumi_docker.network import NetworkArgs
from pulumi_docker.remote_image import RemoteImageArgs
from pulumi_docker.volume import VolumeArgs

from . import containers, images, networks, volumes
from .session import Session

DURATION = r"^(0|([0-9.]+(ns|us|µs|ms|s|m|h))+)$"
PATTERNS = {  # of the Terraform provider, by the last word of a path
    "restart": r"^(no|on-failure|always|unless-stopped)$",
    "permissions": r"^(0[0-7]{3}|[rwm]+)$",
    "cpuSet": r"^\d+([,-]\d+)*$",
    "type": r"^(bind|volume|tmpfs|mount|block)$",
    "interval": DURATION,
    "timeout": DURATION,
    "startPeriod": DURATION,
    "startInterval": DURATION,
}
ORDERED = frozenset({"command", "entrypoints", "ports", "tests"})  # the other lists are sets


@dataclasses.dataclass(frozen=True)
class Kind:
    """One resource type."""

    arguments: type
    create: Callable[[Session, Bag], tuple[str, Bag]]
    read: Callable[[Session, str, Bag], Bag | None]
    update: Callable[[Session, str, Bag, Bag], None]
    delete: Callable[[Session, str, Bag], None]
    defaults: Mapping[str, Any]
    updatable: frozenset[str]  # what replaces nothing
    filled_in: frozenset[str]  # by the daemon: leaving these out changes nothing
    outputs: frozenset[str]
    nested: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)  # defaults inside an input
    kept: frozenset[str] = frozenset()  # leaving these out changes nothing either, but the daemon adds nothing
    telltales: frozenset[str] = frozenset()  # what only the state of a create that failed half-way lacks
    autonamed: bool = True
    replaced_after_delete: bool = False

    @property
    def shape(self) -> Shape:
        """The inputs."""
        return shape_of(self.arguments)

    def with_defaults(self, name: str, olds: Bag, news: Bag) -> Bag:
        """Return the inputs with what was left out, as the official plugin checks them."""
        given = {key: self._nested_defaults(key, value) for key, value in news.items() if value is not None}
        given.pop(DEFAULTS, None)
        filled = {key: value for key, value in self.defaults.items() if value and key not in given}
        if self.autonamed and "name" not in given:
            filled["name"] = _automatic(name, olds)
        return given | filled | {DEFAULTS: sorted(filled)}

    def _nested_defaults(self, key: str, value: Any) -> Any:
        defaults = self.nested.get(key, {})
        if isinstance(value, list):
            return [{**defaults, **each} if isinstance(each, dict) else each for each in value]
        return {**defaults, **value} if isinstance(value, dict) else value

    def planned(self, inputs: Bag) -> Bag:
        """Return the outputs that a preview knows."""
        unknown = {key for key in self.filled_in if key not in inputs} | self.outputs | {"id"}
        return {**dict.fromkeys(self.shape.fields), **self.defaults, **inputs, **dict.fromkeys(unknown, UNKNOWN)}

    def changes(self, olds: Bag, news: Bag) -> Iterator[str]:
        """Yield the inputs that differ from the state, and what the state of a create that failed half-way lacks."""
        yield from sorted(self.telltales & self.outputs - set(olds))
        for key, field in sorted(self.shape.fields.items()):
            old, new = olds.get(key), news.get(key)
            if new is None and key in self.filled_in | self.kept:
                if key in self.telltales and key not in olds:
                    yield key
                continue
            if key == "ports":
                new = _assigned(old, new)
            was, becomes = (comparable(field, each, ordered=key in ORDERED) for each in (old, new))
            if holds_unknown(new) or was != becomes:
                yield key

    def deletes_first(self, olds: Bag, news: Bag) -> bool:
        """Tell whether a replacement deletes before it creates: for a container, and where the name is fixed."""
        fixed = self.autonamed and "name" not in news.get(DEFAULTS, ()) and olds.get("name") == news.get("name")
        return self.replaced_after_delete or fixed


def _automatic(name: str, olds: Bag) -> str:
    if "name" in olds.get(DEFAULTS, ()):
        return str(olds["name"])
    return f"{name}-{secrets.token_hex(4)[:7]}"


def comparable(shape: Shape, value: Any, *, ordered: bool = False) -> Any:
    """Return the value as Terraform compares it: nothing and zero are one, sets have no order."""
    if shape.kind == "object" and isinstance(value, dict):
        fields = {
            name: comparable(field, value.get(name), ordered=name in ORDERED) for name, field in shape.fields.items()
        }
        return {name: each for name, each in sorted(fields.items()) if each is not None} or None
    if shape.kind == "list" and isinstance(value, list) and shape.element:
        inside = [comparable(shape.element, each) for each in value]
        return (inside if ordered else sorted(inside, key=json.dumps)) or None
    return value or None


def _assigned(olds: Any, news: Any) -> Any:
    """Return the ports with what the daemon chose where they name no external one; the places in the list count."""
    if not isinstance(olds, list) or not isinstance(news, list) or len(olds) != len(news):
        return news
    return [
        new if not isinstance(new, dict) or new.get("external") else new | {"external": old.get("external")}
        for old, new in zip(olds, news, strict=True)
    ]


UPDATABLE = frozenset(
    """
    attach containerReadRefreshTimeoutMilliseconds cpuPeriod cpuQuota cpuSet cpuShares destroyGraceSeconds
    deviceReadBps deviceReadIops deviceWriteBps deviceWriteIops healthcheck init logs maxRetryCount memory
    memoryReservation memorySwap mustRun networkDatas removeVolumes restart rm start tmpfs wait waitTimeout
    """.split()  # noqa: SIM905 - a table of names
)
FILLED_IN = frozenset(
    """
    command entrypoints envs healthcheck hostname init ipcMode labels logDriver platform runtime securityOpts
    shmSize stopSignal stopTimeout
    """.split()  # noqa: SIM905 - a table of names
)
ZERO_DURATIONS = dict.fromkeys(("interval", "timeout", "startPeriod", "startInterval"), "0s")

KINDS: dict[str, Kind] = {
    "docker:index/container:Container": Kind(
        arguments=ContainerArgs,
        create=containers.create,
        read=containers.read,
        update=containers.update,
        delete=containers.delete,
        defaults={
            "attach": False,
            "containerReadRefreshTimeoutMilliseconds": 15000,
            "logs": False,
            "memoryReservation": 0,
            "mustRun": True,
            "networkMode": "bridge",
            "readOnly": False,
            "removeVolumes": True,
            "restart": "no",
            "rm": False,
            "start": True,
            "stdinOpen": False,
            "tty": False,
            "wait": False,
            "waitTimeout": 60,
        },
        nested={
            "ports": {"ip": "0.0.0.0", "protocol": "tcp"},  # noqa: S104 - the official default
            "devices": {"permissions": "rwm"},
            "healthcheck": ZERO_DURATIONS,
        },
        updatable=UPDATABLE,
        filled_in=FILLED_IN,
        outputs=frozenset({"bridge", "containerLogs", "exitCode", "networkDatas"}),
        kept=frozenset({"user", "workingDir"}),
        telltales=frozenset({"command", "entrypoints", "networkDatas"}),
        replaced_after_delete=True,
    ),
    "docker:index/network:Network": Kind(
        arguments=NetworkArgs,
        create=networks.create,
        read=networks.read,
        update=networks.update,
        delete=networks.delete,
        defaults={"ipamDriver": "default"},
        updatable=frozenset(),
        filled_in=frozenset({"driver", "internal", "ipamConfigs", "options"}),
        outputs=frozenset({"scope"}),
    ),
    "docker:index/volume:Volume": Kind(
        arguments=VolumeArgs,
        create=volumes.create,
        read=volumes.read,
        update=volumes.update,
        delete=volumes.delete,
        defaults={},
        updatable=frozenset({"cluster"}),
        filled_in=frozenset({"driver", "name"}),
        outputs=frozenset({"mountpoint"}),
    ),
    "docker:index/remoteImage:RemoteImage": Kind(
        arguments=RemoteImageArgs,
        create=images.create,
        read=images.read,
        update=images.update,
        delete=images.delete,
        defaults={"platform": ""},
        updatable=frozenset({"build", "forceRemove", "keepLocally"}),
        filled_in=frozenset(),
        outputs=frozenset({"imageId", "repoDigest"}),
        autonamed=False,
    ),
}
