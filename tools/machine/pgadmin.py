"""pgAdmin in a Python environment of its own, made by uv from pgadmin.lock: it pins many libraries, and Keelson others.

Nothing is compiled: each package is a wheel, or pure Python. What pgAdmin does not need to run stays out.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

from keelson.errors import PlatformError
from keelson.pgadmin.packages import EXCLUDES, LEFT_OUT, LOCK, WANTED
from tools.machine import environment, places
from tools.machine.progress import detail, run, say

MANIFEST = "keelson.json"
KEY_FILES = ("config.py", "pgAdmin4.py", "pgadmin/static/js/generated/app.bundle.js")


def ensure() -> Path:
    """Return the environment of this checkout's lock file, made first where it is missing or damaged."""
    home = places.cache("pgadmin")
    target = home / key()
    if not whole(target):
        with places.alone("pgadmin"):
            if not whole(target):
                _make(home / f".{target.name}.part", target)
    places.point(home / "current", Path(target.name))
    return target


def key() -> str:
    """Return the environment's name: pgAdmin's version, and a digest of the lock file and of Python's version."""
    lock = LOCK.read_bytes()
    version = next(line.split()[0] for line in lock.decode().splitlines() if line.startswith("pgadmin4=="))
    digest = hashlib.sha256(lock + "".join(LEFT_OUT).encode() + sys.version.encode()).hexdigest()
    return f"{version.removeprefix('pgadmin4==')}-{digest[:12]}"


def whole(target: Path) -> bool:
    """Tell whether an environment has all files that its manifest names, in full size, and a Python."""
    try:
        sizes: dict[str, int] = json.loads((target / MANIFEST).read_text())["files"]
        return (target / "bin" / "python").exists() and all((target / n).stat().st_size == s for n, s in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def lock() -> None:
    """Pin what pgadmin.in asks for, for all platforms, without what pgadmin.excludes names."""
    environment.compile_lock([WANTED, "--excludes", EXCLUDES], LOCK)


def _make(work: Path, target: Path) -> None:
    with places.alone("uv"):
        tool = environment.uv()
    env = environment.variables(tool)
    say("pgAdmin in an environment of its own; some ten seconds, 165 MB of downloads the first time")
    log = places.LOGS / "pgadmin.log"
    shutil.rmtree(work, ignore_errors=True)
    make: list[str | Path] = [tool, "venv", "--quiet", "--relocatable", "--python", environment.python(), work]
    run(make, env=env, log=log, what="making pgAdmin's environment")
    env["VIRTUAL_ENV"] = str(work)
    sync: list[str | Path] = [tool, "pip", "sync", "--require-hashes", "--build-constraints", LOCK, LOCK]
    run(sync, env=env, log=log, what="filling pgAdmin's environment")
    _trim(_folder(work))
    python = work / "bin" / "python"
    run([python, "-I", "-m", "compileall", "-q", "-j", "0", _folder(work).parent], log=log, what="compiling pgAdmin")
    _write_manifest(work)
    shutil.rmtree(target, ignore_errors=True)
    work.rename(target)
    detail(f"ready: {target}")


def _folder(work: Path) -> Path:
    found = next(work.glob("lib/python3.*/site-packages/pgadmin4"), None)
    if found is None:
        msg = f"{LOCK} brought no pgAdmin into {work}; run `make lock` and set up again"
        raise PlatformError(msg)
    return found


def _trim(folder: Path) -> None:
    for path in [path for pattern in LEFT_OUT for path in folder.glob(pattern)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _write_manifest(work: Path) -> None:
    """Write what the environment holds, last of all: one with a manifest is whole."""
    folder = _folder(work)
    files = {str((folder / name).relative_to(work)): (folder / name).stat().st_size for name in KEY_FILES}
    (work / MANIFEST).write_text(json.dumps({"folder": str(folder.relative_to(work)), "files": files}, indent=2) + "\n")
