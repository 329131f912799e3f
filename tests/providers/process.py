"""The real dynamic-provider process, spoken to over gRPC without the engine."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from pulumi.dynamic.dynamic import PROVIDER_KEY, serialize_provider
from pulumi.runtime import rpc
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from providers.base import Provider


class ProviderProcess:
    """`python -m pulumi.dynamic`, started in `folder`."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self._engine = socket.create_server(
            ("127.0.0.1", 0)
        )  # `keelson up` ends providers whose engine does not listen
        address = "{}:{}".format(*self._engine.getsockname())
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "pulumi.dynamic", address],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout
        self._channel = grpc.insecure_channel(f"127.0.0.1:{int(self.process.stdout.readline())}")
        self._stub = provider_pb2_grpc.ResourceProviderStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()
        self._engine.close()

    def check(self, provider: Provider, olds: dict[str, Any], news: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        reply = self._stub.Check(provider_pb2.CheckRequest(olds=_struct(provider, olds), news=_struct(provider, news)))
        return _bag(reply.inputs), [failure.reason for failure in reply.failures]

    def diff(self, provider: Provider, identity: str, olds: dict[str, Any], news: dict[str, Any]) -> bool:
        request = provider_pb2.DiffRequest(id=identity, olds=_struct(provider, olds), news=_struct(provider, news))
        reply = self._stub.Diff(request)
        assert not reply.replaces
        return bool(reply.changes == provider_pb2.DiffResponse.DIFF_SOME)

    def create(self, provider: Provider, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        reply = self._stub.Create(provider_pb2.CreateRequest(properties=_struct(provider, inputs)))
        return reply.id, _bag(reply.properties)

    def read(self, provider: Provider, identity: str, state: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        reply = self._stub.Read(provider_pb2.ReadRequest(id=identity, properties=_struct(provider, state)))
        return reply.id, _bag(reply.properties)

    def update(self, provider: Provider, identity: str, olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
        request = provider_pb2.UpdateRequest(id=identity, olds=_struct(provider, olds), news=_struct(provider, news))
        return _bag(self._stub.Update(request).properties)

    def delete(self, provider: Provider, identity: str, state: dict[str, Any]) -> None:
        self._stub.Delete(provider_pb2.DeleteRequest(id=identity, properties=_struct(provider, state)))


def _struct(provider: Provider, bag: dict[str, Any]) -> Any:
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(
            rpc.serialize_properties({**bag, PROVIDER_KEY: serialize_provider(provider)}, {})
        )
    finally:
        loop.close()


def _bag(struct: Any) -> dict[str, Any]:
    found = rpc.deserialize_properties(struct, keep_unknowns=True)
    return {key: value for key, value in found.items() if key != PROVIDER_KEY}
