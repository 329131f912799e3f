"""The gRPC side: what the engine asks, answered from the kinds of resources."""

# ruff: noqa: N802 - gRPC's names

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator

import grpc
from google.protobuf import empty_pb2
from plugin.server import change, refuse_but_keep, serve, token
from plugin.shapes import faults
from plugin.wire import Bag, bag, struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from .kinds import KINDS, PATTERNS, Kind
from .session import SOCKET, InitError, PluginError, Session

VERSION = "5.1.0"


class Plugin(provider_pb2_grpc.ResourceProviderServicer):
    """Serves one engine. It takes no secrets: the engine then keeps secret what was secret in the inputs."""

    def __init__(self) -> None:
        self.session = Session()

    def Handshake(
        self, _request: provider_pb2.ProviderHandshakeRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Say that the plugin is there."""
        return provider_pb2.ProviderHandshakeResponse()

    def GetPluginInfo(self, _request: empty_pb2.Empty, _context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Return the version that this stands in for."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(
        self, _request: provider_pb2.GetSchemaRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.GetSchemaResponse:
        """Return the package's name only: the SDK is generated already."""
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": "docker", "version": VERSION}))

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Fill in the daemon's address."""
        news = bag(request.news)
        usual = {"host": os.environ.get("DOCKER_HOST") or SOCKET}
        return provider_pb2.CheckResponse(inputs=struct(usual | news))

    def DiffConfig(
        self, request: provider_pb2.DiffRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Tell whether the settings changed; that replaces nothing."""
        same = bag(request.olds) == bag(request.news)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_NONE if same else provider_pb2.DiffResponse.DIFF_SOME
        )

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Take the settings; the daemon must answer, for a preview too."""
        self.session = Session(bag(request.args))
        if not self.session.answers():
            context.abort(
                grpc.StatusCode.UNKNOWN,
                "docker native provider returned an unexpected error from Configure: failed to connect to any docker daemon",
            )
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Refuse what the SDK does not know, and fill in the defaults."""
        kind, olds, news = _kind(request.urn, context), bag(request.olds), bag(request.news)
        name = request.urn.rsplit("::", 1)[1]
        checked = kind.with_defaults(name, olds, news)
        failures = [
            provider_pb2.CheckFailure(reason=f"{reason}. Examine values at '{name}.{path}'.")
            for path, reason in faults(kind.shape, checked, patterns=PATTERNS)
        ]
        return provider_pb2.CheckResponse(inputs=struct(checked), failures=failures)

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Compare the state with the inputs."""
        kind, olds, news = _kind(request.urn, context), bag(request.olds), bag(request.news)
        changed = [key for key in kind.changes(olds, news) if key not in request.ignoreChanges]
        replaces = [key for key in changed if key not in kind.updatable]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=replaces,
            detailedDiff={
                key: change(replaces=key in replaces, was=key in olds, is_now=key in news) for key in changed
            },
            hasDetailedDiff=True,
            deleteBeforeReplace=bool(replaces) and kind.deletes_first(olds, news),
        )

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Create; in a preview say what is not known."""
        kind, inputs = _kind(request.urn, context), bag(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=struct(kind.planned(inputs)))
        with _refusals(context, request.urn, inputs):
            identity, outputs = kind.create(self.session, {**kind.defaults, **inputs})
        return provider_pb2.CreateResponse(
            id=identity, properties=struct({**kind.defaults, **inputs, **outputs, "id": identity})
        )

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Read; an empty answer says that it is gone."""
        kind, state, inputs = _kind(request.urn, context), bag(request.properties), bag(request.inputs)
        with _refusals(context, request.urn, inputs):
            found = kind.read(self.session, request.id, state)
        if found is None:
            return provider_pb2.ReadResponse()
        outputs = {**state, **found, "id": request.id}
        drifted = set(kind.changes(outputs, inputs)) & set(inputs) & set(outputs)
        return provider_pb2.ReadResponse(
            id=request.id,
            properties=struct(outputs),
            inputs=struct(inputs | {key: outputs[key] for key in drifted}),
        )

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Apply what can be applied; the state takes all, as the official plugin's does."""
        kind, olds, news = _kind(request.urn, context), bag(request.olds), bag(request.news)
        if not request.preview:
            with _refusals(context, request.urn, news):
                kind.update(self.session, request.id, olds, news)
        dropped = set(kind.shape.fields) - set(news) - kind.filled_in - kind.kept
        kept = {key: value for key, value in olds.items() if key not in dropped}
        return provider_pb2.UpdateResponse(properties=struct(kept | news))

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Delete; what is gone already is deleted."""
        state = bag(request.properties)
        with _refusals(context, request.urn, state):
            _kind(request.urn, context).delete(self.session, request.id, state)
        return empty_pb2.Empty()

    def Cancel(self, _request: empty_pb2.Empty, _context: grpc.ServicerContext) -> empty_pb2.Empty:
        """End what waits."""
        self.session.cancelled.set()
        return empty_pb2.Empty()


def main() -> None:
    """Serve until the engine, who reads standard output, is gone."""
    serve(Plugin())


def _kind(urn: str, context: grpc.ServicerContext) -> Kind:
    kind = token(urn)
    if kind not in KINDS:
        known = ", ".join(KINDS)
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the stand-in for the Docker plugin has {known}, and not {kind}")
    return KINDS[kind]


@contextlib.contextmanager
def _refusals(context: grpc.ServicerContext, urn: str, inputs: Bag) -> Iterator[None]:
    """Answer a fault with its sentence; where the resource exists nevertheless, with what the engine needs to keep it."""
    try:
        yield
    except InitError as fault:
        outputs = inputs | fault.outputs | {"id": fault.identity}
        words = f"creating {urn}: {_official(fault)}"
        kept = provider_pb2.ErrorResourceInitFailed(
            id=fault.identity, properties=struct(outputs), reasons=[words], inputs=struct(inputs)
        )
        refuse_but_keep(context, words, kept)
    except PluginError as fault:
        context.abort(grpc.StatusCode.UNKNOWN, _official(fault))


def _official(fault: PluginError) -> str:
    return f"1 error occurred:\n\t* {fault}\n\n"
