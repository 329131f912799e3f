"""The gRPC side: what the engine asks, answered from the kinds of resources."""

# ruff: noqa: N802 - gRPC's names

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import sys
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import any_pb2, empty_pb2, json_format, struct_pb2
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from .kinds import KINDS, Kind
from .session import SOCKET, InitError, PluginError, Session
from .shapes import faults, whole

Bag = dict[str, Any]
VERSION = "5.1.0"
THREADS = 32  # operations at once


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
        news = _bag(request.news)
        usual = {"host": os.environ.get("DOCKER_HOST") or SOCKET}
        return provider_pb2.CheckResponse(inputs=_struct(usual | news))

    def DiffConfig(
        self, request: provider_pb2.DiffRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Tell whether the settings changed; that replaces nothing."""
        same = _bag(request.olds) == _bag(request.news)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_NONE if same else provider_pb2.DiffResponse.DIFF_SOME
        )

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Take the settings; the daemon must answer, for a preview too."""
        self.session = Session(_bag(request.args))
        if not self.session.answers():
            context.abort(
                grpc.StatusCode.UNKNOWN,
                "docker native provider returned an unexpected error from Configure: failed to connect to any docker daemon",
            )
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Refuse what the SDK does not know, and fill in the defaults."""
        kind, olds, news = _kind(request.urn, context), _bag(request.olds), _bag(request.news)
        name = request.urn.rsplit("::", 1)[1]
        checked = kind.with_defaults(name, olds, news)
        failures = [
            provider_pb2.CheckFailure(reason=f"{reason}. Examine values at '{name}.{path}'.")
            for path, reason in faults(kind.shape, checked)
        ]
        return provider_pb2.CheckResponse(inputs=_struct(checked), failures=failures)

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Compare the state with the inputs."""
        kind, olds, news = _kind(request.urn, context), _bag(request.olds), _bag(request.news)
        changed = [key for key in kind.changes(olds, news) if key not in request.ignoreChanges]
        replaces = [key for key in changed if key not in kind.updatable]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=replaces,
            detailedDiff={key: _change(key in replaces, key in olds, key in news) for key in changed},
            hasDetailedDiff=True,
            deleteBeforeReplace=bool(replaces) and kind.deletes_first(olds, news),
        )

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Create; in a preview say what is not known."""
        kind, inputs = _kind(request.urn, context), _bag(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=_struct(kind.planned(inputs)))
        with _refusals(context, request.urn, inputs):
            identity, outputs = kind.create(self.session, {**kind.defaults, **inputs})
        return provider_pb2.CreateResponse(
            id=identity, properties=_struct({**kind.defaults, **inputs, **outputs, "id": identity})
        )

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Read; an empty answer says that it is gone."""
        kind, state, inputs = _kind(request.urn, context), _bag(request.properties), _bag(request.inputs)
        with _refusals(context, request.urn, inputs):
            found = kind.read(self.session, request.id, state)
        if found is None:
            return provider_pb2.ReadResponse()
        outputs = {**state, **found, "id": request.id}
        drifted = set(kind.changes(outputs, inputs)) & set(inputs) & set(outputs)
        return provider_pb2.ReadResponse(
            id=request.id,
            properties=_struct(outputs),
            inputs=_struct(inputs | {key: outputs[key] for key in drifted}),
        )

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Apply what can be applied; the state takes all, as the official plugin's does."""
        kind, olds, news = _kind(request.urn, context), _bag(request.olds), _bag(request.news)
        if not request.preview:
            with _refusals(context, request.urn, news):
                kind.update(self.session, request.id, olds, news)
        dropped = set(kind.shape.fields) - set(news) - kind.filled_in - kind.kept
        kept = {key: value for key, value in olds.items() if key not in dropped}
        return provider_pb2.UpdateResponse(properties=_struct(kept | news))

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Delete; what is gone already is deleted."""
        state = _bag(request.properties)
        with _refusals(context, request.urn, state):
            _kind(request.urn, context).delete(self.session, request.id, state)
        return empty_pb2.Empty()

    def Cancel(self, _request: empty_pb2.Empty, _context: grpc.ServicerContext) -> empty_pb2.Empty:
        """End what waits."""
        self.session.cancelled.set()
        return empty_pb2.Empty()


def main() -> None:
    """Serve until the engine, who reads standard output, is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    logging.getLogger("grpc").setLevel(logging.CRITICAL)  # calls that are not implemented are no news
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=THREADS), options=_GRPC_CHANNEL_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Plugin(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201 - tells the engine
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # errors and hang-ups are always reported
    while not poll.poll():
        pass
    os._exit(0)


def _kind(urn: str, context: grpc.ServicerContext) -> Kind:
    token = urn.split("::")[2].rsplit("$", 1)[-1]
    if token not in KINDS:
        known = ", ".join(KINDS)
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the stand-in for the Docker plugin has {known}, and not {token}")
    return KINDS[token]


def _change(replaces: bool, was: bool, is_now: bool) -> provider_pb2.PropertyDiff:  # noqa: FBT001 - three facts of one key
    name = "UPDATE" if was and is_now else "ADD" if is_now else "DELETE"
    return provider_pb2.PropertyDiff(kind=provider_pb2.PropertyDiff.Kind.Value(f"{name}_REPLACE" if replaces else name))


@contextlib.contextmanager
def _refusals(context: grpc.ServicerContext, urn: str, inputs: Bag) -> Iterator[None]:
    """Answer a fault with its sentence; where the resource exists nevertheless, with what the engine needs to keep it."""
    try:
        yield
    except InitError as fault:
        outputs = inputs | fault.outputs | {"id": fault.identity}
        words = f"creating {urn}: {_official(fault)}"
        details = provider_pb2.ErrorResourceInitFailed(
            id=fault.identity, properties=_struct(outputs), reasons=[words], inputs=_struct(inputs)
        )
        packed = any_pb2.Any()
        packed.Pack(details)
        code = grpc.StatusCode.UNKNOWN
        status = status_pb2.Status(code=code.value[0], message=words, details=[packed])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, words)
    except PluginError as fault:
        context.abort(grpc.StatusCode.UNKNOWN, _official(fault))


def _official(fault: PluginError) -> str:
    return f"1 error occurred:\n\t* {fault}\n\n"


def _bag(struct: struct_pb2.Struct) -> Bag:
    return dict(whole(json_format.MessageToDict(struct)))


def _struct(bag: Bag) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(bag)
    return made
