"""A server of this machine that keeps an archive, one for each module; what it runs ends by process id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keelson.backups.physical import making
from keelson.backups.physical.archiving import Archiving
from keelson.local import processes, recovery, stack
from tests.local.conftest import LocalStack

WAITING = 64 * 2**20  # bytes of log that may wait: four files


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's directories of their own; the cache with the private root is the machine's."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("STATE_HOME", "DATA_HOME", "CONFIG_HOME", "RUNTIME_DIR"):
            patch.setenv(f"XDG_{variable}", str(home / variable.lower()))
        yield home


@pytest.fixture(scope="module")
def archived(own_home: Path) -> Iterator[LocalStack]:
    """A server that archives, with a first backup and a table `t (n bigint)`."""
    assert own_home.is_dir()
    local = LocalStack("physical-dev", stack.register("physical-dev", "dev"))
    try:
        local.up(archiving=Archiving(waiting=WAITING))
        making.prepare(local.key, "main")
        making.back_up(local.key, "main")
        local.execute("CREATE TABLE t (n bigint PRIMARY KEY)")
        yield local
    finally:
        local.end()
    assert not processes.of_stack(local.key)


@pytest.fixture(autouse=True)
def _sides_go(request: pytest.FixtureRequest) -> Iterator[None]:
    """Take away what a test restored beside the server."""
    yield
    if "archived" in request.fixturenames:
        recovery.discard_all("physical-dev")
