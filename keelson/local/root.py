"""The private Debian root, and how a program runs in it: under bubblewrap, without rights of root.

The root lies under the cache directory (`root/current`), made by `make setup`; its manifest is `etc/keelson-root.json`.
It is mounted read-only; what a program may write is bound to one of the root's mount points, the data to `/data`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from keelson import paths
from keelson.errors import PlatformError, ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DATA = PurePosixPath("/data")
MANIFEST = "etc/keelson-root.json"
NEXT = "run `make setup`"


@dataclass(frozen=True)
class PrivateRoot:
    """A root file system with PostgreSQL in it.

    Attributes:
        path: where it lies.
        postgres_major: PostgreSQL's major version, for example 17.
        postgres_version: the package's version, for example 17.11.
        timescale_version: TimescaleDB's version.
        timescale_edition: `apache`, as Debian builds it, or `community`.
        users: the ids inside the root, by user name.
        has_pgaudit: whether pgAudit can be loaded; a root of an older release lacks it.
    """

    path: Path
    postgres_major: int
    postgres_version: str
    timescale_version: str
    timescale_edition: str
    users: Mapping[str, int]
    has_pgaudit: bool = False

    @property
    def binaries(self) -> PurePosixPath:
        """PostgreSQL's programs, as seen inside the root."""
        return PurePosixPath(f"/usr/lib/postgresql/{self.postgres_major}/bin")

    def program(self, name: str) -> str:
        """Return the path inside the root of one of PostgreSQL's programs."""
        return str(self.binaries / name)

    def command(  # noqa: PLR0913  # each is a place or a right, given by name
        self,
        argv: Sequence[str],
        *,
        data: Path | None = None,
        binds: Mapping[Path, str] | None = None,
        reads: Mapping[Path, str] | None = None,
        maybe: Mapping[Path, str] | None = None,
        user: str = "postgres",
        as_first_process: bool = False,
    ) -> list[str]:
        """Return the command line that runs `argv` in the root.

        The network and the System V shared memory stay the machine's: the latter is how PostgreSQL notices that
        another server works on the same data directory. The program's environment is the caller's, with another PATH.

        Args:
            argv: the program, as seen inside.
            data: a directory of this machine, seen as /data, that the program may write.
            binds: further paths of this machine that it may write, each with its place inside (a mount point of the
                root, or a path below /tmp).
            reads: further paths that it may only read.
            maybe: as `binds`, each left out where it is missing.
            user: the user that the program takes itself for.
            as_first_process: whether it is process 1 inside, so that all its children end with it.
        """
        uid = str(self.users[user])
        return [
            *(bubblewrap(), "--ro-bind", str(self.path), "/", "--dev", "/dev", "--proc", "/proc"),
            *("--tmpfs", "/tmp", "--tmpfs", "/run"),  # noqa: S108  # inside the root
            *_mounts("--bind", {**({data: str(DATA)} if data else {}), **(binds or {})}),
            *_mounts("--ro-bind", reads or {}),
            *_mounts("--bind-try", maybe or {}),
            *("--unshare-user", "--uid", uid, "--gid", uid, "--unshare-pid", "--die-with-parent"),
            *("--setenv", "PATH", f"{self.binaries}:/usr/bin:/bin", "--chdir", "/"),
            *(["--as-pid-1"] if as_first_process else []),
            *argv,
        ]

    def run(  # noqa: PLR0913
        self,
        argv: Sequence[str],
        *,
        data: Path | None = None,
        binds: Mapping[Path, str] | None = None,
        reads: Mapping[Path, str] | None = None,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        seconds: float = 300,
    ) -> bytes:
        """Run a program to its end and return its standard output.

        Args:
            argv: the program, as seen inside.
            data: as in `command`.
            binds: as in `command`.
            reads: as in `command`.
            stdin: the bytes on its standard input; the place for a password.
            environment: variables besides PATH, LANG and TZ; a password here shows in no process list either.
            seconds: when to give up.

        Raises:
            PlatformError: the sandbox or the root does not work.
            ServerError: the program failed; the sentence holds the last line that it wrote.
        """
        done = self.finish(
            argv, data=data, binds=binds, reads=reads, stdin=stdin, environment=environment, seconds=seconds
        )
        if done.returncode:
            raise failure(PurePosixPath(argv[0]).name, done.stderr.decode(errors="replace"), done.returncode)
        return done.stdout

    def finish(  # noqa: PLR0913
        self,
        argv: Sequence[str],
        *,
        data: Path | None = None,
        binds: Mapping[Path, str] | None = None,
        reads: Mapping[Path, str] | None = None,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        seconds: float = 300,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end as `run` does, and leave its exit status to the caller.

        Raises:
            PlatformError: the sandbox or the root does not work.
            ServerError: the program did not end in time.
        """
        command = self.command(argv, data=data, binds=binds, reads=reads)
        try:
            done = subprocess.run(
                command,
                input=stdin,
                capture_output=True,
                env=plain_environment(environment),
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            name = PurePosixPath(argv[0]).name
            msg = (
                f"{name} did not end within {seconds:.0f} s and was stopped; look at this machine's load and try again"
            )
            raise ServerError(msg) from None
        except OSError as fault:
            msg = f"cannot run {command[0]}: {fault.strerror}; {NEXT}"
            raise PlatformError(msg) from None
        if done.returncode and isinstance(
            broken := failure("", done.stderr.decode(errors="replace"), 0), PlatformError
        ):
            raise broken
        return done


def find() -> PrivateRoot:
    """Return this user's private root.

    Raises:
        PlatformError: there is none, or it is damaged.
    """
    link = paths.cache() / "root" / "current"
    try:
        path = link.resolve(strict=True)
    except OSError:
        msg = f"the private Debian root is missing ({link}); {NEXT}"
        raise PlatformError(msg) from None
    manifest = _manifest(path)
    packages: dict[str, str] = manifest["packages"]
    postgres = max((name for name in packages if re.fullmatch(r"postgresql-\d+", name)), key=_major)
    return PrivateRoot(
        path=path,
        postgres_major=_major(postgres),
        postgres_version=packages[postgres].partition("-")[0],
        timescale_version=packages.get(f"{postgres}-timescaledb", "").partition("+")[0],
        timescale_edition=manifest.get("timescale_edition", "apache"),
        users={name: int(values["uid"]) for name, values in manifest["users"].items()},
        has_pgaudit=f"{postgres}-pgaudit" in packages,
    )


def bubblewrap() -> str:
    """Return the path of bubblewrap's program.

    Raises:
        PlatformError: it is not installed.
    """
    if (path := shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin")) or (path := shutil.which("bwrap")):
        return path
    msg = f"bubblewrap (bwrap) is not installed; {NEXT}"
    raise PlatformError(msg)


def plain_environment(further: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a small environment: nothing of the caller's, so none of its secrets, reaches a program."""
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", **(further or {})}


def failure(name: str, output: str, status: int) -> PlatformError | ServerError:
    """Return the error for a program of the root that ended with `status`, made of the last line that it wrote."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if lines and lines[0].startswith("bwrap: "):
        reason = lines[0].removeprefix("bwrap: ")
        if "execvp" in reason:
            return PlatformError(f"the private Debian root is damaged ({reason}); {NEXT}")
        return PlatformError(
            f"bubblewrap cannot make a sandbox on this machine ({reason}); {NEXT}, or use the target docker"
        )
    if "error while loading shared libraries" in output:
        return PlatformError(f"the private Debian root is damaged ({lines[-1]}); {NEXT}")
    said = telling(lines) or f"exit status {status}"
    return ServerError(f"{name} failed: {said}")


def telling(lines: Sequence[str]) -> str:
    """Return the line of a program's output that says why it failed: the last error, else the last line."""
    marks = re.compile(r"\b(?:FATAL|PANIC|ERROR|error|could not):?\s")
    errors = [line for line in lines if marks.search(line)]
    return (errors or list(lines) or [""])[-1].strip()


def _mounts(option: str, places: Mapping[Path, str]) -> list[str]:
    return [word for outside, inside in places.items() for word in (option, str(outside), inside)]


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        fault = _damage(path, manifest["files"]) or (
            "" if {"packages", "users"} <= manifest.keys() else "its manifest is incomplete"
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        fault = "its manifest cannot be read"
    if fault:
        msg = f"the private Debian root {path} is damaged ({fault}); {NEXT}"
        raise PlatformError(msg)
    return manifest


def _damage(path: Path, sizes: Mapping[str, int]) -> str:
    for name, size in sizes.items():
        try:
            found = (path / name).stat().st_size
        except OSError:
            return f"{name} is missing"
        if found != size:
            return f"{name} has {found} bytes in place of {size}"
    return ""


def _major(package: str) -> int:
    return int(package.rpartition("-")[2])
