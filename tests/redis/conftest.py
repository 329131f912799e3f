from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from keelson.endpoint import Reference
from keelson.local import authorities, daemon, registry, stack, volume
from keelson.local.daemon import DaemonSpec
from keelson.redis.connection import connect
from tests.local.conftest import LocalStack

SETTINGS = {
    "maxmemory": "64mb",
    "maxmemory_policy": "noeviction",
    "databases": {"general": 0, "cache": 1, "sessions": 2},
    "notify_keyspace_events": "KEA",
    "append_only": True,
    "tls": "TLSv1.3",
}


@dataclass
class Server:
    """A running Redis of a stack."""

    local: LocalStack
    name: str

    @property
    def reference(self) -> Reference:
        return Reference(stack=self.local.key, target="local", server=self.name, role="admin")

    def client(self, user: str = "admin", database: int = 0, **more: object) -> redis.Redis:
        kept = registry.Registry(self.local.key)
        more = {"username": user, "password": kept.password(self.name, user), "decode_responses": True} | more
        more = {"ssl": True, "ssl_ca_certs": str(authorities.file(self.local.key))} | more
        return redis.Redis(db=database, socket_timeout=5, **{"port": kept.ports()[self.name]} | more)

    def up(self, **settings: object) -> None:
        volume.make(self.local.key, self.local.stack_id, self.name)
        daemon.start(
            DaemonSpec(
                self.local.key,
                self.local.stack_id,
                self.name,
                "redis",
                preferred_port=self.local.base_port,
                settings=SETTINGS | settings,
            )
        )


@pytest.fixture(scope="module")
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Make Redis servers of one stack, which end with the module."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        for variable in ("STATE_HOME", "DATA_HOME", "RUNTIME_DIR"):
            patch.setenv(f"XDG_{variable}", str(home / variable))
        local = LocalStack("test-redis", stack.register("test-redis", "dev"))

        def make(name: str, **settings: object) -> Server:
            made = Server(local, name)
            made.up(**settings)
            return made

        try:
            yield make
        finally:
            local.end()


@pytest.fixture(scope="module")
def server(make_server: Callable[..., Server]) -> Server:
    return make_server("redis")


@pytest.fixture
def empty(server: Server) -> Server:
    """The Redis of the module, without a key."""
    with connect(server.reference) as admin:
        admin.flushall()
    return server


@pytest.fixture
def directory(server: Server) -> Path:
    return volume.directory(server.local.key, server.name)
