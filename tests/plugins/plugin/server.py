"""The server that the engine speaks to, and the answers that all plugins give in the same way."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
from concurrent import futures
from typing import NoReturn

import grpc
from google.protobuf import any_pb2
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

THREADS = 32  # operations at once


def serve(plugin: provider_pb2_grpc.ResourceProviderServicer) -> NoReturn:
    """Serve until the engine, who reads standard output, is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    logging.getLogger("grpc").setLevel(logging.CRITICAL)  # calls that are not implemented are no news
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=THREADS), options=_GRPC_CHANNEL_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(plugin, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201 - tells the engine
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # errors and hang-ups are always reported
    while not poll.poll():
        pass
    os._exit(0)


def token(urn: str) -> str:
    """Return the resource type that a URN names."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def refuse_but_keep(context: grpc.ServicerContext, words: str, kept: provider_pb2.ErrorResourceInitFailed) -> NoReturn:
    """Fail, and give the engine what it needs to keep the resource, which exists nevertheless."""
    packed = any_pb2.Any()
    packed.Pack(kept)
    code = grpc.StatusCode.UNKNOWN
    status = status_pb2.Status(code=code.value[0], message=words, details=[packed])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, words)
    raise AssertionError  # abort raises


def change(*, replaces: bool, was: bool, is_now: bool) -> provider_pb2.PropertyDiff:
    """Return what a detailed diff says of one key."""
    name = "UPDATE" if was and is_now else "ADD" if is_now else "DELETE"
    return provider_pb2.PropertyDiff(kind=provider_pb2.PropertyDiff.Kind.Value(f"{name}_REPLACE" if replaces else name))
