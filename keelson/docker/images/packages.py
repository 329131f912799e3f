"""PyPI's packages for the Python of the images, each file checked against its hash; made once and kept in the cache.

uv installs them for the image's Python, whatever Python this machine has; that Python itself, in the private root, compiles
them. Nothing is compiled to machine code: each package is a wheel, or pure Python.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keelson import paths
from keelson.errors import PlatformError
from keelson.local.root import NEXT, PrivateRoot

PYTHON = "3.13"  # of the private root
PLACE = f"usr/local/lib/python{PYTHON}/dist-packages"  # which its Python searches, in isolated mode too
_PLATFORMS = {"x86_64": "x86_64-manylinux_2_40", "aarch64": "aarch64-manylinux_2_40"}
_WHOLE = ".whole"
_LAST_LINES = 5


@dataclass(frozen=True)
class Packages:
    """What a lock file names, without what nobody needs.

    Attributes:
        name: begins the name of its directory in the cache.
        lock: the lock file.
        left_out: patterns of files below the directory.
    """

    name: str
    lock: Path
    left_out: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Digits that change with the lock file, with what is left out and with Python."""
        text = "\n".join((PYTHON, os.uname().machine, *self.left_out))
        return hashlib.sha256(self.lock.read_bytes() + text.encode()).hexdigest()[:12]

    def ensure(self, root: PrivateRoot) -> Path:
        """Return the directory that holds them, made first where it is missing.

        Raises:
            PlatformError: uv is missing, or could not install them.
        """
        home = paths.private_directory(paths.private_directory(paths.cache()) / "images")
        target = home / f"{self.name}-{self.key}"
        with _alone(home):
            if not (target / _WHOLE).exists():
                self._make(root, home / f".{target.name}.part", target)
        return target / "packages"

    def _make(self, root: PrivateRoot, work: Path, target: Path) -> None:
        for old in (work, target):
            shutil.rmtree(old, ignore_errors=True)
        paths.private_directory(work)
        self._install(work / "packages")
        for path in [path for pattern in self.left_out for path in (work / "packages").glob(pattern)]:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        compiling = ["python3", "-I", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
        root.run([*compiling, "-s", "/data", "-p", f"/{PLACE}", "/data"], data=work / "packages", seconds=600)
        (work / _WHOLE).touch()
        work.rename(target)

    def _install(self, target: Path) -> None:
        tool = uv()
        machine = os.uname().machine
        command = [str(tool), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--link-mode", "copy"]
        command += ["--build-constraints", str(self.lock), "--target", str(target), "--requirement", str(self.lock)]
        command += ["--python-version", PYTHON, "--python-platform", _PLATFORMS.get(machine, machine)]
        done = subprocess.run(command, capture_output=True, text=True, env=_variables(tool), check=False)
        if done.returncode:
            said = " ".join(done.stderr.split("\n")[-_LAST_LINES:]).strip()
            msg = f"the packages of {self.lock.name} could not be installed: {said}; see that PyPI answers, and run `keelson images build` again"
            raise PlatformError(msg)


def uv() -> Path:
    """Return the uv that the set-up left.

    Raises:
        PlatformError: there is none.
    """
    found = sorted((paths.cache() / "uv").glob("[0-9]*/bin/uv"), key=lambda path: path.stat().st_mtime)
    if not found:
        msg = f"uv is missing ({paths.cache() / 'uv'}); {NEXT}"
        raise PlatformError(msg)
    return found[-1]


def _variables(tool: Path) -> Mapping[str, str]:
    """Return the environment for uv: pip's package index where only pip has been told of one, the system's certificates."""
    found = dict(os.environ) | {"UV_SYSTEM_CERTS": "true", "UV_NO_PROGRESS": "true", "NO_COLOR": "1"}
    found.pop("VIRTUAL_ENV", None)
    if not {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL"} & found.keys() and (index := _pips_index(tool)):
        found["UV_DEFAULT_INDEX"] = index
    return found


def _pips_index(tool: Path) -> str:
    ask = [str(tool.with_name("python")), "-m", "pip", "config", "get", "global.index-url"]
    return (
        os.environ.get("PIP_INDEX_URL")
        or subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()
    )


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep another build of the same user away, until the block ends."""
    descriptor = os.open(home / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
