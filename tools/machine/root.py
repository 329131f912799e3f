"""The private Debian root: PostgreSQL, TimescaleDB, Redis, what stands around them, and Python in a directory, made without root's rights.

`root.json` is its recipe. apt, with a configuration and an empty package status of its own, downloads the closure of the
recipe's packages; dpkg-deb unpacks them; no maintainer script runs. What such scripts would have made (users, the linker's
cache, the certificate bundle) is made here. docs/setup.md describes the manifest, /etc/keelson-root.json in the root.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keelson.errors import PlatformError
from tools.machine import mirror, places
from tools.machine.progress import detail, run, say

RECIPE = Path(__file__).with_name("root.json")
MANIFEST = Path("etc/keelson-root.json")
MERGED = ("bin", "sbin", "lib", "lib64")
RUNS = (
    ("/usr/lib/postgresql/17/bin/postgres", "--version"),
    ("/usr/bin/redis-server", "--version"),
    ("/usr/bin/pgbackrest", "version"),
    ("/usr/sbin/pgbouncer", "--version"),
    ("/usr/sbin/haproxy", "-v"),
    ("/usr/bin/prometheus-postgres-exporter", "--version"),
    ("/usr/bin/prometheus-redis-exporter", "--version"),
    ("/usr/bin/openssl", "version"),
    ("/usr/bin/python3", "--version"),
)
# In the root nothing is written, and in an image made of it files have another age: no file's time decides.
COMPILE = ("-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash")


@dataclass(frozen=True)
class Build:
    """One root in the making: its recipe, where it grows, and where it will stand."""

    recipe: dict[str, Any]
    work: Path
    target: Path

    @property
    def tree(self) -> Path:
        """The directory that becomes the root."""
        return self.work / "tree"

    @property
    def archives(self) -> Path:
        """Where apt leaves the packages."""
        return self.work / "cache" / "archives"


def ensure() -> Path:
    """Return the root of this checkout's recipe, made first where it is missing or damaged."""
    recipe = json.loads(RECIPE.read_text())
    home = places.cache("root")
    target = home / key(RECIPE.read_bytes(), architecture())
    if damage(target) is None:
        places.point(home / "current", Path(target.name))
        return target
    with places.alone("root"):
        if (fault := damage(target)) is not None:
            if target.exists():
                detail(f"the private root is damaged ({fault}); making it anew")
            make(Build(recipe, home / f".{target.name}.part", target))
        places.point(home / "current", Path(target.name))
    return target


def key(recipe: bytes, arch: str) -> str:
    """Return the name of a root: the digest of its recipe, and the architecture."""
    return f"{hashlib.sha256(recipe).hexdigest()[:12]}-{arch}"


def architecture() -> str:
    """Return Debian's name of this machine's architecture."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def damage(root: Path) -> str | None:
    """Return what is wrong with `root` in a few words, None if it is whole."""
    try:
        sizes: dict[str, int] = json.loads((root / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError):
        return "its manifest is missing"
    for name, size in sizes.items():
        try:
            found = (root / name).stat().st_size
        except OSError:
            return f"{name} is missing"
        if found != size:
            return f"{name} has {found} bytes in place of {size}"
    return None


def make(build: Build) -> None:
    """Make a root and put it into place in one step."""
    say(
        "private Debian root: PostgreSQL 17, TimescaleDB, Redis, pgBackRest, Python; about a minute, 120 MB of downloads"
    )
    shutil.rmtree(build.tree, ignore_errors=True)
    download(build)
    detail(f"unpacking {len(packages(build))} packages")
    unpack(build)
    furnish(build)
    prove(build)
    write_manifest(build)
    if build.target.exists():
        shutil.rmtree(build.target)
    build.tree.rename(build.target)
    shutil.rmtree(build.work)
    detail(f"ready: {build.target}")


def download(build: Build) -> None:
    """Fetch the recipe's packages and all that they depend on, with an apt configuration that knows nothing of the host's packages."""
    for directory in ("state/lists/partial", "cache/archives/partial", "log"):
        (build.work / directory).mkdir(parents=True, exist_ok=True)
    (build.work / "status").touch()
    lines = mirror.find().lines(build.recipe["suite"])
    try:
        _update(build, lines, "the list of Debian packages")
    except PlatformError:
        detail("the updates and security suites do not answer; taking the packages of the release itself")
        _update(build, lines[:1], "the list of Debian packages")
    run(
        [*_apt(build), "install", "--yes", "--download-only", *build.recipe["packages"]],
        log=places.LOGS / "root-download.log", what="the download of Debian packages",
        progress=lambda: f"{len(packages(build))} packages",
    )  # fmt: skip


def _update(build: Build, lines: list[str], what: str) -> None:
    (build.work / "sources.list").write_text("\n".join(lines) + "\n")
    run([*_apt(build), "update", "--error-on=any"], log=places.LOGS / "root-update.log", what=what)


def _apt(build: Build) -> list[str]:
    options = {
        "Dir::State": build.work / "state",
        "Dir::State::status": build.work / "status",
        "Dir::Cache": build.work / "cache",
        "Dir::Log": build.work / "log",
        "Dir::Etc::sourcelist": build.work / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Architecture": architecture(),
        "APT::Architectures": architecture(),
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Acquire::Retries": "3",
        "Acquire::http::Timeout": "30",
        "Acquire::https::Timeout": "30",
    }
    return ["apt-get", "--quiet", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]


def packages(build: Build) -> list[Path]:
    """Return the packages downloaded so far."""
    return sorted(build.archives.glob("*.deb"))


def unpack(build: Build) -> None:
    """Unpack all packages into the tree, whose /bin, /lib and the like are links into /usr from the start."""
    for name in MERGED:
        (build.tree / "usr" / name).mkdir(parents=True, exist_ok=True)
        (build.tree / name).symlink_to(f"usr/{name}")
    first, *others = sorted(packages(build), key=lambda path: not path.name.startswith("base-files_"))
    _unpack_one(first, build.tree)
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(lambda path: _unpack_one(path, build.tree), others))
    for name in build.recipe["left_out"]:
        shutil.rmtree(build.tree / name, ignore_errors=True)


def _unpack_one(package: Path, tree: Path) -> None:
    done = subprocess.run(["dpkg-deb", "--extract", package, tree], capture_output=True, text=True, check=False)
    if done.returncode:
        package.unlink()
        msg = f"{package.name} does not unpack ({done.stderr.strip()}); it was removed, so run the set-up again"
        raise PlatformError(msg)


def furnish(build: Build) -> None:
    """Write what the packages' scripts would have made, and the directories that the product mounts on."""
    tree, users = build.tree, build.recipe["users"]
    for name in (
        *build.recipe["mount_points"],
        "run/postgresql",
        "tmp",
        "var/tmp",
        "var/lib/postgresql",
        "var/lib/redis",
    ):
        (tree / name).mkdir(parents=True, exist_ok=True)
    accounts = {
        "root": {"uid": 0, "gid": 0, "home": "/root"},
        **users,
        "nobody": {"uid": 65534, "gid": 65534, "home": "/"},
    }
    files = {
        "passwd": "".join(f"{n}:x:{u['uid']}:{u['gid']}:{n}:{u['home']}:/bin/sh\n" for n, u in accounts.items()),
        "group": "".join(f"{n}:x:{u['gid']}:\n" for n, u in accounts.items()),
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
        "hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost\n",
        "resolv.conf": "",
        "timezone": "Etc/UTC\n",
    }
    for name, text in files.items():
        (tree / "etc" / name).write_text(text)
    (tree / "etc/localtime").unlink(missing_ok=True)
    (tree / "etc/localtime").symlink_to("/usr/share/zoneinfo/Etc/UTC")
    bundle = (file.read_text() for file in sorted((tree / "usr/share/ca-certificates").rglob("*.crt")))
    (tree / "etc/ssl/certs/ca-certificates.crt").write_text("".join(bundle))
    _drop_special_bits(tree)


def _drop_special_bits(tree: Path) -> None:
    """Take set-user-id bits away: nothing in the root may gain rights."""
    for folder, directories, files in os.walk(tree):
        for path in (Path(folder, name) for name in (*directories, *files)):
            mode = path.lstat().st_mode
            if mode & (stat.S_ISUID | stat.S_ISGID) and not path.is_symlink():
                path.chmod(stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID))


def prove(build: Build) -> None:
    """Fill the linker's cache, compile Python's library and run each program once, under bubblewrap as the product does.

    Raises:
        PlatformError: a program of the new root does not run.
    """
    inside(build, "/sbin/ldconfig", writable=True)
    inside(build, "/usr/bin/python3", "-I", *COMPILE, "/usr/lib/python3", "/usr/lib/python3.13", writable=True)
    for program in RUNS:
        detail(inside(build, *program).strip().partition("\n")[0])


def inside(build: Build, *command: str, writable: bool = False) -> str:
    """Run a command in the new root and return its output."""
    uid = str(build.recipe["users"]["postgres"]["uid"])
    words = [
        "bwrap", "--bind" if writable else "--ro-bind", str(build.tree), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp",  # noqa: S108 - inside the root
        "--unshare-user", "--uid", uid, "--gid", uid, "--unshare-pid", "--die-with-parent", "--clearenv", *command,
    ]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"{command[0]} does not run in the new private root: {done.stderr.strip() or done.returncode}"
        raise PlatformError(msg)
    return done.stdout or done.stderr


def write_manifest(build: Build) -> None:
    """Record what the root consists of, last of all: a root with a manifest is whole."""
    versions = dict(re.findall(r"^([^_\n]+)_([^_]+)_", "\n".join(p.name for p in packages(build)), re.MULTILINE))
    manifest = {
        "format": 1,
        "key": build.target.name,
        "suite": build.recipe["suite"],
        "users": build.recipe["users"],
        "mount_points": [f"/{name}" for name in build.recipe["mount_points"]],
        "packages": {name: version.replace("%3a", ":") for name, version in versions.items()},
        "files": {name: (build.tree / name).stat().st_size for name in build.recipe["key_files"]},
    }
    (build.tree / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
