"""A server of S3-compatible storage, as a process of the tests, whose buckets are directories."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from keelson.backups.terms import Bucket
from tests.stack.harness import wait_until
from tools.machine import storage

KEY, SECRET, REGION, BUCKET = "a-key", "a-secret-of-somebody", "eu-central-1", "backups-of-tests"


@dataclass(frozen=True)
class StorageServer:
    """One that runs."""

    port: int
    root: Path
    host: str = "127.0.0.1"

    @property
    def bucket(self) -> Bucket:
        """Its only bucket."""
        endpoint = f"http://{self.host}:{self.port}"
        return Bucket(BUCKET, KEY, prefix="of/keelson", endpoint=endpoint, region=REGION, path_style=True)

    @property
    def settings(self) -> dict[str, Any]:
        """How a stack file names it, without the secret."""
        return {name: value for name, value in asdict(self.bucket).items() if name != "ca_file"}

    @property
    def files(self) -> list[str]:
        """What lies in the bucket."""
        folder = self.root / BUCKET
        found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return sorted(str(path) for path in found if not path.parts[0].startswith("."))


def program(name: str) -> Path:
    """Return a program that was built; skips the test where it was not, and this is no thorough run."""
    if not storage.path(name).exists():
        if not os.environ.get("CI"):
            pytest.skip("no S3-compatible storage was built here: `tools/setup storage` does")
        storage.ensure()
    return storage.path(name)


@contextmanager
def running(root: Path, notes: Path, host: str = "127.0.0.1", before: Collection[str] = ()) -> Iterator[StorageServer]:
    """Run a server over a directory, at an address that is this machine's, or is so for a command `before` it."""
    command = [*before, program(storage.SERVER)]
    (root / BUCKET).mkdir(parents=True, exist_ok=True)
    notes.mkdir(parents=True, exist_ok=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1" if before else host, 0))
        port = taken.getsockname()[1]
    options = [
        "--port",
        f"{host}:{port}",
        "--region",
        REGION,
        "--quiet",
        "posix",
        "--sidecar",
        str(notes),
        str(root),
    ]
    environment = {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET, "PATH": os.defpath, "HOME": str(root)}
    process = subprocess.Popen(
        [*command, *options], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: _answers(host, port), "the storage answers")
        yield StorageServer(port, root, host)
    finally:
        process.kill()
        process.wait()


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
