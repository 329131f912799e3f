"""What prometheus-operator adds to an API: the definitions of the objects that it reads, from its Go module. The operator itself is not run."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from keelson.errors import PlatformError
from tools.kubernetes import place, programs
from tools.kubernetes.api import Api, RefusedError
from tools.machine import go, places
from tools.machine.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = "github.com/prometheus-operator/prometheus-operator"
VERSION = "v0.94.0"
SUM = "h1:VxMKzqr8Xqw5/QInNT7a3B5XInPnHqE7SD2UIdwKpRM="
FOLDER = "example/prometheus-operator-crd"
GROUP = "monitoring.coreos.com"
PLURALS = ("podmonitors", "prometheusrules")
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DEADLINE = 30.0  # seconds for the API to serve what was defined
POLL = 0.1


def home() -> Path:
    """Return where the definitions lie, or will lie."""
    return programs.home() / f"monitoring-{VERSION}"


def ensure() -> None:
    """Take the definitions from the module, once.

    Raises:
        PlatformError: it cannot be had, or is another one than was pinned.
    """
    if _complete():
        return
    with places.alone(programs.PART):
        if _complete():
            return
        say(f"definitions of prometheus-operator {VERSION}, from its Go module")
        sources = _module()
        home().mkdir(parents=True, exist_ok=True)
        for plural in PLURALS:
            fresh = _file(plural).with_suffix(".part")
            shutil.copyfile(sources / FOLDER / f"{GROUP}_{plural}.yaml", fresh)
            fresh.replace(_file(plural))
        go.forget(programs.PART)


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
    return home() / f"{plural}.yaml"


def _module() -> Path:
    """Download the module, and return where it lies; its sum is the pinned one."""
    tool = go.program(programs.PART)
    env = go.environment(programs.PART, tool) | {"GOFLAGS": "-mod=mod"}
    command: list[str | Path] = [tool, "mod", "download", "-json", f"{MODULE}@{VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd="/")
    try:
        found = json.loads(done.stdout)
    except ValueError:
        found = {"Error": done.stderr.strip()}
    if fault := found.get("Error"):
        msg = f"{MODULE} {VERSION} cannot be had: {' '.join(str(fault).split())}; look whether the Go module proxy answers"
        raise PlatformError(msg)
    if found["Sum"] != SUM:
        msg = f"{MODULE} {VERSION} is not what was pinned: its sum is {found['Sum']}; compare it with its makers' before you pin that"
        raise PlatformError(msg)
    return Path(found["Dir"])
