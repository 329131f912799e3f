"""Speaks to a Docker plugin as the engine does: to the stand-in, or to the one that KEELSON_TEST_DOCKER_PLUGIN names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

OFFICIAL = os.environ.get("KEELSON_TEST_DOCKER_PLUGIN")
PLUGIN = OFFICIAL or str(Path(__file__).parent / "bin" / "pulumi-resource-docker")
TYPES = {
    "container": "docker:index/container:Container",
    "network": "docker:index/network:Network",
    "volume": "docker:index/volume:Volume",
    "image": "docker:index/remoteImage:RemoteImage",
}

Bag = dict[str, Any]


class DockerPlugin:
    """The plugin's process, set up for one daemon. A type is one of the words in TYPES."""

    def __init__(self, host: str) -> None:
        environment = os.environ | {"DOCKER_PLUGIN_PATIENCE": "1"}
        self.process = subprocess.Popen(
            [PLUGIN, "127.0.0.1:1"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.process.stdout
        self._channel = grpc.insecure_channel(f"127.0.0.1:{int(self.process.stdout.readline())}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        try:
            self._configure(host)
        except grpc.RpcError:
            self.end()
            raise

    def _configure(self, host: str) -> None:
        urn = "urn:pulumi:dev::tests::pulumi:providers:docker::default"
        checked = self.stub.CheckConfig(provider_pb2.CheckRequest(urn=urn, news=struct({"host": host})))
        variables = {"docker:config:host": host}
        request = provider_pb2.ConfigureRequest(
            args=checked.inputs, variables=variables, acceptSecrets=True, acceptResources=True
        )
        self.configured = self.stub.Configure(request)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        self._channel.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()

    def check(self, kind: str, news: Bag, olds: Bag | None = None, name: str = "it") -> tuple[Bag, dict[str, str]]:
        """Return the checked inputs, and the reasons of refusal by the place that each names."""
        request = provider_pb2.CheckRequest(
            urn=urn(kind, name), olds=struct(olds or {}), news=struct(news), randomSeed=os.urandom(32)
        )
        reply = self.stub.Check(request)
        reasons = [each.reason.partition(". Examine values at ") for each in reply.failures]
        return bag(reply.inputs), {place.strip("'.").removeprefix(f"{name}."): reason for reason, _, place in reasons}

    def checked(self, kind: str, news: Bag) -> Bag:
        """Return the checked inputs, which must be right."""
        inputs, faults = self.check(kind, news)
        assert not faults
        return inputs

    def diff(self, kind: str, identity: str, olds: Bag, news: Bag) -> provider_pb2.DiffResponse:
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                urn=urn(kind), id=identity, olds=struct(olds), news=struct(news), old_inputs=struct(news)
            )
        )

    def create(self, kind: str, inputs: Bag, *, preview: bool = False) -> tuple[str, Bag]:
        request = provider_pb2.CreateRequest(urn=urn(kind), properties=struct(inputs), preview=preview)
        reply = self.stub.Create(request)
        return reply.id, bag(reply.properties)

    def read(self, kind: str, identity: str, state: Bag, inputs: Bag) -> tuple[str, Bag, Bag]:
        request = provider_pb2.ReadRequest(urn=urn(kind), id=identity, properties=struct(state), inputs=struct(inputs))
        reply = self.stub.Read(request)
        return reply.id, bag(reply.properties), bag(reply.inputs)

    def update(self, kind: str, identity: str, olds: Bag, news: Bag) -> Bag:
        request = provider_pb2.UpdateRequest(
            urn=urn(kind), id=identity, olds=struct(olds), news=struct(news), old_inputs=struct(olds)
        )
        return bag(self.stub.Update(request).properties)

    def delete(self, kind: str, identity: str, state: Bag) -> None:
        self.stub.Delete(provider_pb2.DeleteRequest(urn=urn(kind), id=identity, properties=struct(state)))


def left_behind(fault: grpc.RpcError) -> provider_pb2.ErrorResourceInitFailed | None:
    """Return what a failed create says of the resource that exists nevertheless."""
    metadata = dict(fault.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata.get("grpc-status-details-bin", b""))
    for each in status.details:
        details = provider_pb2.ErrorResourceInitFailed()
        if each.Unpack(details):
            return details
    return None


def urn(kind: str, name: str = "it") -> str:
    return f"urn:pulumi:dev::tests::{TYPES[kind]}::{name}"


def struct(values: Bag) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(values)
    return made


def bag(values: struct_pb2.Struct) -> Bag:
    return dict(json_format.MessageToDict(values))
