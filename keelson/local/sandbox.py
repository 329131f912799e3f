"""What runs a throw-away server's programs: the private root's sandbox, or the container that this process is in."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from keelson.errors import ServerError
from keelson.local import root as private_root
from keelson.local.root import DATA, PrivateRoot, failure, plain_environment

PROGRAMS = "/usr/lib/postgresql/17/bin"  # of the container's image, which stands on the private root
# SIGQUIT, at which a server ends at once, when the process that started it is gone; PR_SET_PDEATHSIG is 1 (linux/prctl.h).
_TIED = f"import ctypes, os, sys; ctypes.CDLL(None).prctl(1, {int(signal.SIGQUIT)}, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"


class Sandbox(Protocol):
    """Programs of PostgreSQL around one directory; `data` is how they see it."""

    @property
    def data(self) -> str:
        """The directory, as the programs see it."""

    def run(self, program: str, *arguments: str) -> None:
        """Run a program to its end; raises ServerError."""

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line of a program that ends with the thread that starts it."""

    def postmasters(self, process: int) -> list[int]:
        """Return the process ids of the server whose command is the process `process`."""


@dataclass(frozen=True)
class InPrivateRoot:
    """Under bubblewrap; a server is process 1 of its sandbox, so that nothing of it outlives it."""

    root: PrivateRoot
    directory: Path
    binds: Mapping[Path, str] = field(
        default_factory=dict
    )  # what a command may write beside it, and where it sees that
    reads: Mapping[Path, str] = field(default_factory=dict)  # what it may only read

    @property
    def data(self) -> str:
        """The directory, as the programs see it."""
        return str(DATA)

    def run(self, program: str, *arguments: str) -> None:
        """Run a program to its end; raises ServerError."""
        self.root.run([self.root.program(program), *arguments], data=self.directory)

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line of a program that ends with the thread that starts it."""
        words = [self.root.program(program), *arguments]
        return self.root.command(words, data=self.directory, binds=self.binds, reads=self.reads, as_first_process=True)

    def postmasters(self, process: int) -> list[int]:
        """Return the children of bubblewrap."""
        found = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
        return [int(number) for number in found.split()]


@dataclass(frozen=True)
class InContainer:
    """As they are; processes of a server that is gone end by themselves."""

    directory: Path

    @property
    def data(self) -> str:
        """The directory itself."""
        return str(self.directory)

    def run(self, program: str, *arguments: str) -> None:
        """Run a program to its end; raises ServerError."""
        words = [f"{PROGRAMS}/{program}", *arguments]
        done = subprocess.run(words, capture_output=True, env=plain_environment(), check=False)
        if done.returncode:
            raise failure(program, done.stderr.decode(errors="replace"), done.returncode)

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line of a program that ends with the thread that starts it."""
        return [sys.executable, "-I", "-S", "-c", _TIED, f"{PROGRAMS}/{program}", *arguments]

    def postmasters(self, process: int) -> list[int]:
        """Return the server itself."""
        return [process]


def in_private_root() -> Callable[[Path], Sandbox]:
    """Return what makes a sandbox of the private root around a directory; raises PlatformError where there is no root."""
    root = private_root.find()
    return lambda directory: InPrivateRoot(root, directory)


def in_container(directory: Path) -> Sandbox:
    """Return what runs the programs of this container around a directory."""
    if not Path(PROGRAMS, "initdb").exists():
        msg = f"this container has no PostgreSQL server ({PROGRAMS}); run the command with Keelson's own image of the agent"
        raise ServerError(msg)
    return InContainer(directory)
