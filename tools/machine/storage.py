"""What tests of backups in a bucket need: an S3-compatible server, and age, built from Go modules into the cache, each once."""

from __future__ import annotations

import re
from pathlib import Path

from tools.machine import go, places
from tools.machine.places import LOGS, PROJECT
from tools.machine.progress import detail, run, say

PART = "storage"  # of the cache
MODULE = PROJECT / "tools" / "storage"
SERVER, AGE = "versitygw", "age"
PROGRAMS = {SERVER: "github.com/versity/versitygw/cmd/versitygw", AGE: "filippo.io/age/cmd/age"}
PACKAGES = {SERVER: 900, AGE: 120}  # with an empty cache, about
SPACE = 3 * 10**9  # bytes that sources, compiled packages and programs take


def ensure() -> None:
    """Build what is missing; a build that is broken off goes on with the next call."""
    with places.alone(PART):
        missing = [name for name in PROGRAMS if not path(name).exists()]
        if not missing:
            return
        say(
            "S3-compatible storage for tests, built from Go modules: a few minutes on two cores the first time, then never again"
        )
        go.require_space(PART, SPACE, "the build of storage for tests")
        tool = go.program(PART)
        env = go.environment(PART, tool)
        for name in missing:
            _build(name, tool, env)
        go.forget(PART)
    detail(f"ready: {path(SERVER).parent}")


def path(name: str) -> Path:
    """Return where a program lies, once it is built."""
    module = "/".join(PROGRAMS[name].split("/")[:-2])
    pinned = re.search(rf"^\s*{re.escape(module)} (v\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)
    return places.cache(PART) / f"{name}-{pinned[1] if pinned else 'none'}"


def _build(name: str, tool: Path, env: dict[str, str]) -> None:
    fresh, log = path(name).with_name(f".{name}.part"), LOGS / f"build-{name}.log"
    run(
        ["nice", "-n", "10", tool, "build", "-v", "-trimpath", "-ldflags", "-s -w", "-o", fresh, PROGRAMS[name]],
        cwd=MODULE, env=env, log=log, what=f"the build of {name}",
        progress=lambda: go.progress(log.read_text(errors="replace"), PACKAGES[name]),
    )  # fmt: skip
    fresh.replace(path(name))
