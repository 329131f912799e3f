"""Which programs a cluster is made of, at which level, and where they lie in the cache."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keelson.errors import PlatformError
from tools.machine import places
from tools.machine.places import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

PART = "kubernetes"  # of the cache
MODULES = PROJECT / "tools" / "kubernetes" / "modules"
LEVELS = ("api", "node", "operator", "archiver")  # each has what the one before it has
LINTERS = "linters"  # of manifests: they need no cluster
KUBERNETES = "k8s.io/kubernetes"
OPERATOR = "github.com/cloudnative-pg/cloudnative-pg"
ARCHIVER = "github.com/cloudnative-pg/plugin-barman-cloud"

_PROMETHEUS = "example/prometheus-operator-crd/monitoring.coreos.com_{}.yaml"
DEFINITIONS = {  # of kinds that others bring to a cluster: the files in each module that `kinds` pins
    "github.com/external-secrets/external-secrets": ["config/crds/bases/external-secrets.io_externalsecrets.yaml"],
    "github.com/prometheus-operator/prometheus-operator": [
        _PROMETHEUS.format(each) for each in ("podmonitors", "servicemonitors", "prometheusrules")
    ],
    "sigs.k8s.io/gateway-api": ["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"],
}


@dataclass(frozen=True)
class Program:
    """One program: the tool module that pins it, what is built of it, and the variables that the linker sets."""

    name: str
    level: str
    module: str
    package: str
    variables: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The version of the pinned module; of a program of ours, the module's own text."""
        pinned = re.search(r"^require \S+ (v\S+)$", (MODULES / self.module / "go.mod").read_text(), re.MULTILINE)
        return pinned[1] if pinned else "v1"

    @property
    def linker_flags(self) -> str:
        """What the linker is told: no symbols for a debugger, and the version that the program reports."""
        version = self.version
        major, minor, _ = version.removeprefix("v").split(".") if self.variables else ("", "", "")
        values = {"version": version, "plain": version.removeprefix("v"), "major": major, "minor": minor}
        return " ".join(("-s -w", *(f"-X {each.format_map(values)}" for each in self.variables)))


def _kubernetes(name: str, level: str) -> Program:
    base = "k8s.io/component-base/version"
    variables = (
        f"{base}.gitVersion={{version}}",
        f"{base}.gitMajor={{major}}",
        f"{base}.gitMinor={{minor}}",
        f"{base}.gitTreeState=clean",
    )
    return Program(name, level, "kubernetes", f"{KUBERNETES}/cmd/{name}", variables)


PROGRAMS = (
    Program("etcd", "api", "etcd", "go.etcd.io/etcd/server/v3"),
    _kubernetes("kube-apiserver", "api"),
    _kubernetes("kube-controller-manager", "api"),
    _kubernetes("kube-scheduler", "api"),
    _kubernetes("kubectl", "api"),
    _kubernetes("kubelet", "node"),
    _kubernetes("kube-proxy", "node"),
    Program("coredns", "node", "coredns", "github.com/coredns/coredns"),
    Program("pause", "node", "pause", "."),
    Program(
        "manager",
        "operator",
        "operator",
        f"{OPERATOR}/cmd/manager",
        (f"{OPERATOR}/pkg/versions.buildVersion={{plain}}",),
    ),
    Program("archiver", "archiver", "archiver", f"{ARCHIVER}/cmd/manager"),
    Program("kubectl-validate", LINTERS, "validate", "sigs.k8s.io/kubectl-validate"),
    Program("kube-score", LINTERS, "score", "github.com/zegl/kube-score/cmd/kube-score"),
)


def of_level(level: str) -> list[Program]:
    """Return the programs of a level and of those below it; or the linters."""
    levels = LEVELS[: LEVELS.index(level) + 1] if level in LEVELS else (level,)
    return [each for each in PROGRAMS if each.level in levels]


def named(name: str) -> Program:
    """Return one program."""
    return next(each for each in PROGRAMS if each.name == name)


def home() -> Path:
    """Return the cache's directory for this version of Kubernetes."""
    return places.cache(PART) / named("kube-apiserver").version


def path(name: str) -> Path:
    """Return where a program lies, or will lie."""
    return home() / "bin" / name


def operator_manifest() -> Path:
    """Return the operator's own manifest, as its makers publish it."""
    return home() / "operator.yaml"


def archiver_manifest() -> Path:
    """Return the manifest of the operator's plugin that archives, as its makers publish it."""
    return home() / "archiver.yaml"


def schemas() -> Path:
    """Return where the schemas of the built Kubernetes lie, as kubectl-validate reads them."""
    return home() / "schemas"


def definitions() -> Path:
    """Return where the definitions of kinds lie that others bring to a cluster."""
    return home() / "kinds"


def missing(level: str) -> list[Program]:
    """Return the programs of a level that are not there in the pinned version and in full size."""
    known = read_manifest()
    return [each for each in of_level(level) if not _whole(each, known)]


def require(level: str) -> None:
    """Refuse to go on without all programs of a level.

    Raises:
        PlatformError: some are missing.
    """
    if lacking := missing(level):
        names = ", ".join(each.name for each in lacking)
        who = "the linters of manifests lack" if level == LINTERS else "the test cluster lacks"
        msg = f"{who} {names}; `tools/cluster build {level}` builds what is missing"
        raise PlatformError(msg)


def read_manifest() -> dict[str, dict[str, object]]:
    """Return what was built: version and size by name."""
    try:
        found: dict[str, dict[str, object]] = json.loads((home() / "kubernetes.json").read_text())
    except (OSError, ValueError):
        return {}
    return found


def write_manifest(known: dict[str, dict[str, object]]) -> None:
    """Write what was built, in one step."""
    fresh = home() / ".kubernetes.json"
    fresh.write_text(json.dumps(known, indent=2) + "\n")
    fresh.replace(home() / "kubernetes.json")


def _whole(program: Program, known: dict[str, dict[str, object]]) -> bool:
    try:
        size = path(program.name).stat().st_size
    except OSError:
        return False
    note = known.get(program.name, {})
    return note.get("version") == program.version and note.get("size") == size
