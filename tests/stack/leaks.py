"""Looks for passwords and verifiers in whatever a stack shows, writes or runs."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.stack.harness import StackUnderTest

_BETWEEN_LOOKS = 0.05  # s


@dataclass(frozen=True)
class Needles:
    """What must not show, by what it is: passwords, the same in base64, and what a server keeps of them."""

    texts: Mapping[str, bytes]

    @classmethod
    def of(cls, stack: StackUnderTest, *servers: str) -> Needles:
        """Return all passwords of a stack, and the verifiers of its servers, each named by a service that it holds."""
        passwords = {name: text.encode() for name, text in stack.passwords().items()}
        verifiers = {
            f"verifier of {server}/{role}": stored.encode()
            for server, service in zip(servers[::2], servers[1::2], strict=True)
            for role, stored in _verifiers(stack, service)
        }
        encoded = {f"{name} in base64": _encoded(text) for name, text in passwords.items()}
        return cls(passwords | encoded | verifiers)

    def found_in(self, *shown: str | bytes) -> list[str]:
        """Return the names of those that stand there."""
        texts = [each.encode() if isinstance(each, str) else each for each in shown]
        return [name for name, needle in self.texts.items() if any(needle in text for text in texts)]

    def files(self, folder: Path) -> dict[str, list[str]]:
        """Return the files below a folder in which there are some, {path: names}."""
        paths = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        found = {str(path.relative_to(folder)): self.found_in(path.read_bytes()) for path in paths}
        return {path: names for path, names in found.items() if names}


def _verifiers(stack: StackUnderTest, service: str) -> list[tuple[str, str]]:
    with stack.connect(service, "admin") as admin:
        query = "SELECT rolname, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL"
        return list(admin.execute(query).fetchall())


def _encoded(text: bytes) -> bytes:
    """Return base64 as far as it is the same whatever follows."""
    return base64.b64encode(text[: len(text) // 3 * 3])


@dataclass
class Processes:
    """Command lines and environments of all processes that this machine ran meanwhile."""

    commands: set[bytes] = field(default_factory=set)
    environments: dict[bytes, bytes] = field(default_factory=dict)  # environment: the program's name

    def look(self) -> None:
        """Note what runs now."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                self._note(entry)

    def _note(self, entry: Path) -> None:
        try:
            command = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
        except OSError:  # it has ended
            return
        self.commands.add(command)
        self.environments[environment] = Path(command.split(b"\0")[0].decode(errors="replace")).name.encode()


@contextmanager
def watched() -> Iterator[Processes]:
    """Look at all processes again and again until the block ends."""
    seen, ended = Processes(), threading.Event()

    def watch() -> None:
        while not ended.wait(_BETWEEN_LOOKS):
            seen.look()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
