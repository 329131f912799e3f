"""Builds the programs of a test cluster from Go modules into the cache, each once."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from tools.kubernetes import images, programs
from tools.kubernetes.programs import MODULES, PART, Program
from tools.machine import go, places
from tools.machine.places import LOGS
from tools.machine.progress import detail, run, say

if TYPE_CHECKING:
    from pathlib import Path

SPACE = 8 * 10**9  # bytes that sources, compiled packages and programs take
GO_NEEDED = {
    "operator": (1, 26, 4),
    "archiver": (1, 26, 4),
    "validate": (1, 26),
}  # a tool module's own minimum where it is above the usual one
PACKAGES = {
    "etcd": 500,
    "kubernetes": 1500,
    "coredns": 900,
    "operator": 900,
    "archiver": 900,
    "pause": 50,
    "validate": 800,
    "score": 120,
}  # with an empty cache, about


def ensure(level: str) -> None:
    """Build what a level lacks. What was built before stays; a build that is broken off goes on with the next call."""
    if not programs.missing(level):
        return
    with places.alone(PART):
        lacking = programs.missing(level)
        if not lacking:
            return
        what = "linters of manifests" if level == programs.LINTERS else "a test cluster's programs"
        say(f"{what}, built from Go modules: {', '.join(each.name for each in lacking)}")
        minutes = 2 if level == programs.LINTERS else 15
        detail(f"about {minutes} minutes on two cores for all of them the first time, then never again")
        go.require_space(PART, SPACE, "the build of a test cluster")
        for each in lacking:
            _get(each)
        go.forget(PART)
    detail(f"ready: {programs.home()}")


def _get(program: Program) -> None:
    began = time.monotonic()
    target = programs.path(program.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{program.name}.part")
    tool = go.program(PART, GO_NEEDED.get(program.module, go.NEEDED))
    env = go.environment(PART, tool)
    _compile(program, fresh, tool, env)
    if program.level == "operator":
        _keep_manifest(program, tool, env)
    elif program.level == "archiver":
        sources = go.module_directory(tool, env, MODULES / program.module, programs.ARCHIVER)
        shutil.copyfile(sources / "manifest.yaml", programs.archiver_manifest())
    elif program.name == "kubectl-validate":
        _keep_schemas(tool, env)
        _keep_definitions(tool, env)
    fresh.replace(target)
    images.ensure(program)
    seconds = round(time.monotonic() - began, 1)
    note: dict[str, object] = {"version": program.version, "size": target.stat().st_size, "seconds": seconds}
    programs.write_manifest(programs.read_manifest() | {program.name: note})
    detail(f"{program.name} {program.version}: {seconds:.0f} s, {target.stat().st_size / 1e6:.0f} MB")


def _compile(program: Program, target: Path, tool: Path, env: dict[str, str]) -> None:
    log = LOGS / f"build-{program.name}.log"
    run(
        ["nice", "-n", "10", tool, "build", "-v", "-ldflags", program.linker_flags, "-o", target, program.package],
        cwd=MODULES / program.module, env=env, log=log, what=f"the build of {program.name}",
        progress=lambda: go.progress(log.read_text(errors="replace"), PACKAGES[program.module]),
    )  # fmt: skip


def _keep_manifest(program: Program, tool: Path, env: dict[str, str]) -> None:
    """Copy the manifest that the operator's makers publish with this version."""
    sources = go.module_directory(tool, env, MODULES / program.module, programs.OPERATOR)
    manifest = sources / "releases" / f"cnpg-{program.version.removeprefix('v')}.yaml"
    shutil.copyfile(manifest, programs.operator_manifest())


def _keep_schemas(tool: Path, env: dict[str, str]) -> None:
    """Copy the API's own schemas of the pinned Kubernetes, which are newer than those in kubectl-validate."""
    tools = MODULES / "kubernetes"
    run(
        [tool, "mod", "download", programs.KUBERNETES],
        cwd=tools,
        env=env,
        log=LOGS / "schemas.log",
        what="the download of the schemas",
    )
    folder = go.module_directory(tool, env, tools, programs.KUBERNETES) / "api" / "openapi-spec" / "v3"
    for source in folder.glob("api*__v*_openapi.json"):
        target = programs.schemas().joinpath(*source.name.removesuffix("_openapi.json").split("__"))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target.with_name(f"{target.name}.json"))


def _keep_definitions(tool: Path, env: dict[str, str]) -> None:
    """Copy the definitions of kinds that others bring to a cluster."""
    tools = MODULES / "kinds"
    command: list[str | Path] = [tool, "mod", "download", *programs.DEFINITIONS]
    run(command, cwd=tools, env=env, log=LOGS / "kinds.log", what="the download of other kinds' definitions")
    programs.definitions().mkdir(parents=True, exist_ok=True)
    for module, files in programs.DEFINITIONS.items():
        folder = go.module_directory(tool, env, tools, module)
        for file in files:
            shutil.copy(folder / file, programs.definitions())
