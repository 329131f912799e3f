"""The field's linters of manifests, built by `tools/cluster build linters`: what they find in a folder of YAML files.

Without them the tests are skipped; where CI is set they fail.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from keelson.errors import PlatformError
from tools.kubernetes import programs

OLDEST, NEWEST = "1.30", "1.34"  # of Kubernetes, that the target is held to
CUSTOM = "CustomResourceDefinition"
_UNKNOWN = re.compile(r"failed to locate OpenAPI spec for GV: (\S+)")

# Why a check of kube-score is not ours.
NOT_OURS = {
    "container-image-pull-policy": "an image is named by its digest or a tag of its own, and starts while its registry is away",
    "container-security-context-user-group-id": "the official images run as users of their own, to whom their files belong",
    "container-ephemeral-storage-request-and-limit": "no pod writes to its node's disk: roots are read-only, what is temporary lies in memory",
    "statefulset-has-servicename": "a pod that is the only one needs no name beside its Service's",
    "deployment-replicas": "an exporter asks one part: a second one would tell everything twice",
}
WITHOUT_CPU_LIMIT = (
    "--ignore-container-cpu-limit"  # one that nobody asked for would only slow an idle node's database down
)


def require() -> None:
    """Skip or fail the test where the linters were not built."""
    try:
        programs.require(programs.LINTERS)
    except PlatformError as fault:
        if os.environ.get("CI"):
            pytest.fail(str(fault))
        pytest.skip(str(fault))


def written(folder: Path, manifests: Iterable[Mapping[str, Any]]) -> Path:
    """Write each object to a file of its own, and return the folder."""
    folder.mkdir(parents=True)
    for manifest in manifests:
        name = f"{manifest['kind']}-{manifest['metadata']['name']}-{manifest['metadata'].get('namespace', '')}.yaml"
        (folder / name).write_text(json.dumps(manifest))
    return folder


def invalid(folder: Path, version: str, crds: Path) -> tuple[list[str], set[str]]:
    """Return what kubectl-validate finds wrong, and which versions of kinds it has no schema of.

    Args:
        folder: with the files, and folders of such.
        version: of Kubernetes; its own schemas end with the oldest that we are held to.
        crds: a folder with the definitions of custom kinds.
    """
    newer = ["--local-schemas", str(programs.schemas())] if version == NEWEST else []
    command = [str(programs.path("kubectl-validate")), "--version", OLDEST, *newer, "--local-crds", str(crds)]
    done = subprocess.run([*command, "-o", "json", *_files(folder)], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    faults, unknown = [], set()
    for path, found in json.loads(done.stdout).items():
        for each in found:
            message = str(each.get("message", ""))
            if missing := _UNKNOWN.search(message):
                unknown.add(missing[1])
            elif each["status"] != "Success":
                faults.append(f"{Path(path).relative_to(folder)}: {message}")
    return faults, unknown


def unwise(folder: Path, version: str, accepted: Mapping[str, str] = NOT_OURS) -> list[str]:
    """Return what kube-score finds, but for the checks that are not ours."""
    left_out = [word for check in accepted for word in ("--ignore-test", check)]
    command = [str(programs.path("kube-score")), "score", "--kubernetes-version", f"v{version}", "-o", "json"]
    done = subprocess.run(
        [*command, WITHOUT_CPU_LIMIT, *left_out, *_files(folder)], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return [
        f"{Path(thing['file_name']).name}: {check['check']['id']}: {comment['path']} {comment['summary']}"
        for thing in json.loads(done.stdout) or ()
        for check in thing["checks"]
        if not check["skipped"] and check["grade"] < 10
        for comment in check["comments"] or ()
    ]


def definitions(folder: Path) -> Path:
    """Write the definitions of other kinds that are at hand to a folder: CloudNativePG's where that was built, and what was copied beside it."""
    folder.mkdir()
    for path in programs.definitions().glob("*.yaml"):
        shutil.copy(path, folder)
    if programs.operator_manifest().exists():
        text = programs.operator_manifest().read_text()
        for thing in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if thing and thing["kind"] == CUSTOM:
                (folder / f"{thing['metadata']['name']}.yaml").write_text(json.dumps(thing))
    return folder


def _files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*.yaml") if path.name != "kustomization.yaml")
