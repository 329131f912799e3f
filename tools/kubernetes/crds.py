"""Kinds that others bring to a cluster: their definitions, as the makers' Go modules hold them, each kept in the cache."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keelson.errors import PlatformError
from tools.kubernetes import programs
from tools.kubernetes.programs import PART
from tools.machine import go, places

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Definition:
    """Where a definition lies: a module, its version, what the sum of its files is, and the path in there."""

    module: str
    version: str
    sum: str
    file: str


DEFINITIONS = {
    "externalsecrets.external-secrets.io": Definition(
        "github.com/external-secrets/external-secrets",
        "v0.20.4",
        "h1:HhNAjWfFEshhItphr28SGsHzf2bUP7uDAOVLg76uNAg=",
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
    ),
    "httproutes.gateway.networking.k8s.io": Definition(
        "sigs.k8s.io/gateway-api",
        "v1.4.0",
        "h1:ZwlNM6zOHq0h3WUX2gfByPs2yAEsy/EenYJB78jpQfQ=",
        "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
    ),
}


def ensure(name: str) -> Path:
    """Return the file of a definition, got where the cache lacks it.

    Raises:
        PlatformError: it cannot be had.
    """
    wanted = DEFINITIONS[name]
    kept = programs.home() / "definitions" / f"{name}-{wanted.version}.yaml"
    if kept.exists():
        return kept
    with places.alone(PART), tempfile.TemporaryDirectory() as elsewhere:
        tool = go.program(PART, go.NEEDED)
        command: list[str | Path] = [tool, "mod", "download", "-json", f"{wanted.module}@{wanted.version}"]
        done = subprocess.run(
            command, cwd=elsewhere, env=go.environment(PART, tool), capture_output=True, text=True, check=False
        )
        found = json.loads(done.stdout or "{}")
        if found.get("Sum") != wanted.sum:
            msg = f"{wanted.module} {wanted.version} cannot be had: {found.get('Error') or done.stderr or 'it has another sum'}"
            raise PlatformError(msg)
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(".part")
        shutil.copyfile(f"{found['Dir']}/{wanted.file}", fresh)
        fresh.replace(kept)
    return kept
