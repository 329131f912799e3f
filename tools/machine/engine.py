"""The Pulumi engine: one that is there already, else the official release, else a build from Go modules.

The first two bring Pulumi's own Python language host. A build gets the stand-in of tools/engine, since the Go module of
Pulumi's is not served, and the script that starts dynamic providers from the module that the engine is built with.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from keelson.errors import PlatformError
from tools.machine import go, places
from tools.machine.places import LOCAL, LOGS, PROJECT
from tools.machine.progress import detail, run, say

VERSION = "v3.259.0"  # that of the Python SDK in pyproject.toml, and the newest that the Go module proxy serves
OLDEST = (3, 200)  # of an engine that is there already
MODULE = PROJECT / "tools" / "engine"
RELEASES = "https://get.pulumi.com/releases/sdk"
CONNECT = 5.0  # seconds until the official address counts as out of reach
BUILD_SPACE = 4 * 10**9  # bytes that sources and compiled packages take while the engine is built
PACKAGES = 1700  # that a build with an empty cache compiles, about
STAND_IN = ("pulumi-language-python", "language_host.py")
CHOICE = LOCAL / "engine.json"  # which engine this checkout uses


@dataclass(frozen=True)
class Existing:
    """A `pulumi` on PATH, with its own language host beside it or elsewhere on PATH."""

    program: Path
    version: tuple[int, ...]

    @property
    def usable(self) -> bool:
        """Whether it is new enough for the Python SDK of the lock file."""
        return self.version >= OLDEST


def ensure() -> Path:
    """Return the directory of the engine's programs, getting one first where there is none."""
    found = existing()
    if found is not None and found.usable:
        return found.program.parent
    if found is not None:
        detail(
            f"{found.program} is older than {OLDEST[0]}.{OLDEST[1]}; it stays, and Keelson uses an engine of its own"
        )
    if not complete(home()):
        with places.alone("engine"):
            if not complete(home()):
                _get()
    refresh_stand_in(home() / "bin")
    return home() / "bin"


def binaries() -> Path:
    """Return the directory of the engine's programs, without getting one."""
    found = existing()
    return found.program.parent if found is not None and found.usable else home() / "bin"


def home() -> Path:
    """Return the directory of the engine of Keelson's own."""
    return places.cache("engine") / VERSION


def complete(directory: Path) -> bool:
    """Tell whether an engine's directory holds all that its manifest names, in full size."""
    try:
        sizes: dict[str, int] = json.loads((directory / "engine.json").read_text())["files"]
        return all((directory / "bin" / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def existing(path: str | None = None) -> Existing | None:
    """Return the first `pulumi` on PATH that is not Keelson's own and has a Python language host."""
    own = str(places.cache("engine"))
    words = [
        word
        for word in (path or os.environ.get("PATH", "")).split(os.pathsep)
        if word and not str(Path(word).resolve()).startswith(own)
    ]
    others = os.pathsep.join(words)
    program = shutil.which("pulumi", path=others)
    if program is None or shutil.which("pulumi-language-python", path=others) is None:
        return None
    return Existing(Path(program), _version(Path(program)))


def _version(program: Path) -> tuple[int, ...]:
    """Return the version that `program` names, asked once per file and remembered in the checkout."""
    state = program.stat()
    identity = [str(program), state.st_size, state.st_mtime_ns]
    try:
        known = json.loads(CHOICE.read_text())
        if known["identity"] == identity:
            return tuple(known["version"])
    except (OSError, ValueError, KeyError):
        pass
    version = tuple(int(part) for part in re.findall(r"\d+", _ask(program))[:3])
    CHOICE.parent.mkdir(parents=True, exist_ok=True)
    CHOICE.write_text(json.dumps({"identity": identity, "version": version}))
    return version


def _ask(program: Path) -> str:
    env = dict(os.environ) | {"PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        return subprocess.run(
            [program, "version"], capture_output=True, text=True, check=False, env=env, timeout=60
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _get() -> None:
    work = places.cache("engine") / f".{VERSION}.part"
    shutil.rmtree(work, ignore_errors=True)
    (work / "bin").mkdir(parents=True)
    how = "official" if download(work / "bin") else "built"
    if how == "built":
        build(work / "bin")
    sizes = {
        file.name: file.stat().st_size
        for file in (work / "bin").iterdir()
        if file.name not in STAND_IN or how == "official"
    }
    (work / "engine.json").write_text(json.dumps({"version": VERSION, "how": how, "files": sizes}, indent=2) + "\n")
    shutil.rmtree(home(), ignore_errors=True)
    work.rename(home())
    go.forget("engine")
    detail(f"ready: {home()}")


def download(target: Path) -> bool:
    """Unpack the official release into `target`; False where its address does not answer within seconds."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
    url = f"{os.environ.get('KEELSON_PULUMI_RELEASES', RELEASES)}/pulumi-{VERSION}-linux-{machine}.tar.gz"
    try:
        with urllib.request.urlopen(url, timeout=CONNECT) as answer:  # noqa: S310 - a fixed address, or one of the user's
            say(f"Pulumi engine {VERSION}, the official release; about a minute, 150 MB")
            _unpack(answer, target)
    except (OSError, EOFError, tarfile.TarError, urllib.error.URLError) as fault:
        detail(f"the official release of the Pulumi engine is out of reach here ({getattr(fault, 'reason', fault)})")
        return False
    if VERSION not in _ask(target / "pulumi"):
        msg = f"the engine that {url} delivers does not run as {VERSION}; get a `pulumi` by another way and put it on PATH"
        raise PlatformError(msg)
    return True


def _unpack(stream: BinaryIO, target: Path) -> None:
    with tarfile.open(fileobj=stream, mode="r|gz") as archive:
        for member in archive:
            if (content := archive.extractfile(member)) is not None:
                program = target / Path(member.name).name
                with program.open("wb") as file:
                    shutil.copyfileobj(content, file)
                program.chmod(0o755)


def build(target: Path) -> None:
    """Build the engine from Go modules into `target`, with the stand-in language host beside it."""
    say(
        f"Pulumi engine {VERSION}, built from Go modules; about 10 minutes on two cores the first time, then never again"
    )
    go.require_space("engine", BUILD_SPACE, "the build of the engine")
    program = go.program("engine")
    env = go.environment("engine", program)
    log = LOGS / "engine.log"
    flags = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={VERSION}"
    run(
        [program, "build", "-v", "-ldflags", flags, "-o", target / "pulumi", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"],
        cwd=MODULE, env=env, log=log, what="the build of the Pulumi engine",
        progress=lambda: go.progress(log.read_text(errors="replace"), PACKAGES),
    )  # fmt: skip
    sdk = go.module_directory(program, env, MODULE, "github.com/pulumi/pulumi/sdk/v3")
    for script in (sdk / "python" / "dist").iterdir():
        if script.suffix != ".cmd":
            shutil.copyfile(script, target / script.name)
            (target / script.name).chmod(0o755)


def refresh_stand_in(target: Path) -> None:
    """Copy this checkout's stand-in language host beside a built engine where it is missing or differs."""
    if json.loads((target.parent / "engine.json").read_text())["how"] != "built":
        return
    for name in STAND_IN:
        source, copy = MODULE / name, target / name
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            fresh = target / f".{name}.{os.getpid()}"
            shutil.copy(source, fresh)
            fresh.replace(copy)
