"""What prometheus-operator adds to an API: the definitions of the objects that it reads. The operator itself is not run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import yaml

from keelson.errors import PlatformError
from tools.kubernetes import place, programs
from tools.kubernetes.api import Api, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GROUP = "monitoring.coreos.com"
PLURALS = ("podmonitors", "prometheusrules")
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DEADLINE = 30.0  # seconds for the API to serve what was defined
POLL = 0.1


def install(directory: Path) -> None:
    """Have the API of the cluster in a directory know these objects; once more does no harm.

    Raises:
        PlatformError: no such cluster runs there, or the definitions were not taken from their module.
    """
    if not _complete():
        msg = "the test cluster lacks the definitions of prometheus-operator; `tools/setup kubernetes` brings them"
        raise PlatformError(msg)
    api = Api(place.read(directory.resolve()).kubeconfig)
    for definition in _definitions():
        api.apply(definition)
    until = time.monotonic() + DEADLINE
    while _served(api) < {*PLURALS}:
        if time.monotonic() > until:
            msg = f"the test cluster in {directory} does not serve {GROUP} within {DEADLINE:.0f} s"
            raise PlatformError(msg)
        time.sleep(POLL)


def remove(directory: Path) -> None:
    """Have it forget them, with all objects of these kinds; once more does no harm."""
    api = Api(place.read(directory.resolve()).kubeconfig)
    for plural in PLURALS:
        try:
            api.ask("DELETE", f"{DEFINITIONS}/{plural}.{GROUP}")
        except RefusedError as fault:
            if fault.status != 404:  # noqa: PLR2004 - not found
                raise
    until = time.monotonic() + DEADLINE
    while _served(api):
        if time.monotonic() > until:
            msg = f"the test cluster in {directory} serves {GROUP} still after {DEADLINE:.0f} s"
            raise PlatformError(msg)
        time.sleep(POLL)


def _served(api: Api) -> set[str]:
    try:
        found: dict[str, Any] = api.ask("GET", f"/apis/{GROUP}/v1")
    except RefusedError:
        return set()
    return {str(each["name"]) for each in found["resources"]} & {*PLURALS}


def _definitions() -> Iterator[dict[str, Any]]:
    for plural in PLURALS:
        found: dict[str, Any] = yaml.load(_file(plural).read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe one
        yield found


def _complete() -> bool:
    return all(_file(plural).exists() for plural in PLURALS)


def _file(plural: str) -> Path:
    return programs.definitions() / f"{GROUP}_{plural}.yaml"
