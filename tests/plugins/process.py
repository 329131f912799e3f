"""Speaks to a plugin as the engine does: to the stand-in, or to the one that KEELSON_TEST_DOCKER_PLUGIN names, likewise KUBERNETES."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

STAND_INS = Path(__file__).parent / "bin"
OFFICIAL = os.environ.get("KEELSON_TEST_DOCKER_PLUGIN")
PLUGIN = OFFICIAL or str(STAND_INS / "pulumi-resource-docker")
OFFICIAL_KUBERNETES = os.environ.get("KEELSON_TEST_KUBERNETES_PLUGIN")
KUBERNETES_PLUGIN = OFFICIAL_KUBERNETES or str(STAND_INS / "pulumi-resource-kubernetes")
TYPES = {
    "container": "docker:index/container:Container",
    "network": "docker:index/network:Network",
    "volume": "docker:index/volume:Volume",
    "image": "docker:index/remoteImage:RemoteImage",
}

Bag = dict[str, Any]


class Plugin:
    """A plugin's process, set up. A type is a token, or one of the words in TYPES."""

    def __init__(self, program: str, package: str, settings: dict[str, str], variables: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [program, "127.0.0.1:1"], env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.process.stdout
        self._channel = grpc.insecure_channel(f"127.0.0.1:{int(self.process.stdout.readline())}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        try:
            self._configure(package, settings)
        except grpc.RpcError:
            self.end()
            raise

    def _configure(self, package: str, settings: dict[str, str]) -> None:
        urn = f"urn:pulumi:dev::tests::pulumi:providers:{package}::default"
        checked = self.stub.CheckConfig(provider_pb2.CheckRequest(urn=urn, news=struct(settings)))
        variables = {f"{package}:config:{name}": value for name, value in settings.items()}
        request = provider_pb2.ConfigureRequest(
            args=checked.inputs, variables=variables, acceptSecrets=True, acceptResources=True
        )
        self.configured = self.stub.Configure(request)

    def config(self, settings: Bag) -> provider_pb2.CheckResponse:
        """Check a provider's settings."""
        urn = "urn:pulumi:dev::tests::pulumi:providers:any::default"
        return self.stub.CheckConfig(provider_pb2.CheckRequest(urn=urn, news=struct(settings)))

    def config_diff(self, olds: Bag, news: Bag) -> provider_pb2.DiffResponse:
        """Compare a provider's settings."""
        urn = "urn:pulumi:dev::tests::pulumi:providers:any::default"
        return self.stub.DiffConfig(provider_pb2.DiffRequest(urn=urn, olds=struct(olds), news=struct(news)))

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
        places = [each.property for each in reply.failures]
        return bag(reply.inputs), {
            named or place.strip("'.").removeprefix(f"{name}."): reason
            for named, (reason, _, place) in zip(places, reasons, strict=True)
        }

    def checked(self, kind: str, news: Bag) -> Bag:
        """Return the checked inputs, which must be right."""
        inputs, faults = self.check(kind, news)
        assert not faults
        return inputs

    def diff(
        self, kind: str, identity: str, olds: Bag, news: Bag, ignored: list[str] | None = None
    ) -> provider_pb2.DiffResponse:
        request = provider_pb2.DiffRequest(
            urn=urn(kind),
            id=identity,
            olds=struct(olds),
            news=struct(news),
            old_inputs=struct(news),
            ignoreChanges=ignored,
        )
        return self.stub.Diff(request)

    def create(
        self, kind: str, inputs: Bag, *, preview: bool = False, timeout: float = 0, name: str = "it"
    ) -> tuple[str, Bag]:
        request = provider_pb2.CreateRequest(
            urn=urn(kind, name), properties=struct(inputs), preview=preview, timeout=timeout
        )
        reply = self.stub.Create(request)
        return reply.id, bag(reply.properties)

    def invoke(self, token: str, arguments: Bag) -> Bag:
        """Call a function."""
        reply = self.stub.Invoke(provider_pb2.InvokeRequest(tok=token, args=struct(arguments)))
        return bag(getattr(reply, "return"))

    def read(self, kind: str, identity: str, state: Bag, inputs: Bag) -> tuple[str, Bag, Bag]:
        request = provider_pb2.ReadRequest(urn=urn(kind), id=identity, properties=struct(state), inputs=struct(inputs))
        reply = self.stub.Read(request)
        return reply.id, bag(reply.properties), bag(reply.inputs)

    def update(self, kind: str, identity: str, olds: Bag, news: Bag, **more: Any) -> Bag:
        request = provider_pb2.UpdateRequest(
            urn=urn(kind), id=identity, olds=struct(olds), news=struct(news), old_inputs=struct(olds), **more
        )
        return bag(self.stub.Update(request).properties)

    def delete(self, kind: str, identity: str, state: Bag, *, timeout: float = 0) -> None:
        request = provider_pb2.DeleteRequest(urn=urn(kind), id=identity, properties=struct(state), timeout=timeout)
        self.stub.Delete(request)


class DockerPlugin(Plugin):
    """The plugin's process, set up for one daemon."""

    def __init__(self, host: str) -> None:
        super().__init__(PLUGIN, "docker", {"host": host}, {"DOCKER_PLUGIN_PATIENCE": "1"})


class KubernetesPlugin(Plugin):
    """The plugin's process, set up for one cluster; it retries and lets endpoints settle in less time."""

    def __init__(self, kubeconfig: str, **settings: str) -> None:
        variables = {"KUBERNETES_PLUGIN_RETRY": "0.05", "KUBERNETES_PLUGIN_SETTLED": "0.5"}
        super().__init__(KUBERNETES_PLUGIN, "kubernetes", {"kubeconfig": kubeconfig, **settings}, variables)


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
    return f"urn:pulumi:dev::tests::{TYPES.get(kind, kind)}::{name}"


def struct(values: Bag) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(values)
    return made


def secret(value: Any) -> Bag:
    """Return a value as it travels when it is secret."""
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": value}


def bag(values: struct_pb2.Struct) -> Bag:
    return dict(json_format.MessageToDict(values))
