"""The project's Python environment, `.venv`, made by uv from requirements.lock."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tools.machine import places
from tools.machine.places import LOGS, PROJECT
from tools.machine.progress import detail, run, say

if TYPE_CHECKING:
    from collections.abc import Sequence

VENV = PROJECT / ".venv"
STAMP = VENV / ".keelson"  # what the environment was made from
LOCK = PROJECT / "requirements.lock"
OURS = ("keelson", "components", "providers")  # the packages of pyproject.toml
BOOTSTRAP = Path(__file__).with_name("uv.txt")
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL")


def ensure() -> None:
    """Bring `.venv` to what the lock file and pyproject.toml say; a stamp tells when nothing has changed."""
    stamp = _stamp()
    if not _made_from(stamp):
        with places.alone("uv"):
            if not _made_from(stamp):
                _make(stamp)
    if sys.dont_write_bytecode:  # each command starts three processes, and each would compile all of it anew
        run(
            [VENV / "bin" / "python", "-m", "compileall", "-q", *OURS],
            log=LOGS / "compile.log",
            cwd=PROJECT,
            what="compiling",
        )


def lock() -> None:
    """Pin what pyproject.toml asks for, for all platforms."""
    compile_lock(["--group", "dev", "pyproject.toml"], LOCK)


def compile_lock(wanted: Sequence[str | Path], target: Path, oldest: str = "3.11") -> None:
    """Write a lock file with hashes that names no package index: each machine has its own. The `oldest` Python is that of who uses it."""
    with places.alone("uv"):
        tool = uv()
    say(f"{target.relative_to(PROJECT)}; some seconds")
    words = [
        "--universal",
        "--generate-hashes",
        "--no-header",
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--python-version",
        oldest,
    ]
    run(
        [tool, "pip", "compile", *words, *wanted, "--output-file", target],
        env=variables(tool),
        cwd=PROJECT,
        log=LOGS / "lock.log",
        what="pinning the Python packages",
    )


def uv() -> Path:
    """Return uv, installed into the cache first where it is missing. The caller holds the lock of the cache's part uv."""
    version = BOOTSTRAP.read_text().split()[0].removeprefix("uv==")
    home = places.cache("uv") / version
    if not (home / "bin" / "uv").exists():
        say(f"uv {version}; a few seconds, 20 MB")
        shutil.rmtree(home, ignore_errors=True)
        log = LOGS / "uv.log"
        run([python(), "-m", "venv", home], log=log, what="making an environment for uv")
        pip: list[str | Path] = [
            home / "bin" / "python",
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--require-hashes",
        ]
        run([*pip, "--requirement", BOOTSTRAP], log=log, what="the installation of uv")
    return home / "bin" / "uv"


def variables(tool: Path) -> dict[str, str]:
    """Return the environment for uv: pip's package index where only pip has been told of one, the system's certificates."""
    found = dict(os.environ) | {"UV_SYSTEM_CERTS": "true", "UV_NO_PROGRESS": "true", "NO_COLOR": "1"}
    found.pop("VIRTUAL_ENV", None)
    if not any(found.get(name) for name in INDEX_VARIABLES) and (index := _pips_index(tool)):
        found["UV_DEFAULT_INDEX"] = index
    return found


def python() -> str:
    """Return the Python that environments are made from: never one of an environment itself, which may vanish."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _make(stamp: str) -> None:
    tool = uv()
    env = variables(tool)
    say("Python environment .venv from requirements.lock; a few seconds, up to 100 MB the first time")
    log = LOGS / "venv.log"
    STAMP.unlink(missing_ok=True)
    if _moved():
        run([tool, "venv", "--quiet", "--clear", "--python", python(), VENV], env=env, log=log, what="making .venv")
    env["VIRTUAL_ENV"] = str(VENV)
    run(
        [tool, "pip", "sync", "--require-hashes", "--compile-bytecode", LOCK],
        env=env,
        cwd=PROJECT,
        log=log,
        what="filling .venv",
    )
    run(
        [tool, "pip", "install", "--no-deps", "--no-build-isolation", "--editable", "."],
        env=env, cwd=PROJECT, log=log, what="installing Keelson into .venv",
    )  # fmt: skip
    STAMP.write_text(stamp)
    detail(f"ready: {VENV}")


def _stamp() -> str:
    digest = hashlib.sha256()
    for part in (str(VENV), python(), sys.version):
        digest.update(part.encode())
    for file in (LOCK, PROJECT / "pyproject.toml"):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _made_from(stamp: str) -> bool:
    return (
        STAMP.exists()
        and STAMP.read_text() == stamp
        and (VENV / "bin" / "keelson").exists()
        and (VENV / "bin" / "python").exists()
    )


def _moved() -> bool:
    """Tell whether `.venv` must be made anew: missing, of another Python, or moved here with its checkout."""
    asked = subprocess.run(
        [VENV / "bin" / "python", "-c", "import sys; print(sys.prefix, sys.version)"], capture_output=True, text=True, check=False
    ) if (VENV / "bin" / "python").exists() else None  # fmt: skip
    activate = VENV / "bin" / "activate"
    at_home = activate.exists() and str(VENV) in activate.read_text()
    return asked is None or not at_home or asked.stdout.strip() != f"{VENV} {sys.version}"


def _pips_index(tool: Path) -> str | None:
    config: list[str | Path] = [tool.with_name("python"), "-m", "pip", "config", "get", "global.index-url"]
    found = (
        os.environ.get("PIP_INDEX_URL")
        or subprocess.run(config, capture_output=True, text=True, check=False).stdout.strip()
    )
    return found or None
