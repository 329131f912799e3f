"""A language host for Python programs, where Pulumi's own cannot be had.

Pulumi's host is a Go module that no module proxy serves. The Python SDK has a small one for the Automation API's inline
programs; this one builds on it and adds what a program in a directory needs: arguments of its own, a readable error,
plugins and policy packs written in Python, and an end when the engine is gone. It starts nothing else and keeps no state.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import queue
import runpy
import select
import signal
import subprocess
import sys
import threading
import traceback
from concurrent import futures
from pathlib import Path
from typing import IO, TYPE_CHECKING

import grpc
import pulumi
from google.protobuf import empty_pb2
from pulumi.automation._server import LanguageServer
from pulumi.runtime import reset_options, run_in_stack, set_all_config
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

THREADS_PER_OPERATION = 4  # as Pulumi's own host has


class Host(LanguageServer):
    """Runs the program, and plugins written in Python, for one engine."""

    def __init__(self, engine: str) -> None:
        super().__init__(lambda: None)
        self.engine = engine

    def Handshake(
        self, _request: language_pb2.LanguageHandshakeRequest, _context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        """Say that the host is there."""
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, _request: empty_pb2.Empty, _context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Return the SDK's version: the host has none of its own."""
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    def Run(self, request: language_pb2.RunRequest, _context: grpc.ServicerContext) -> language_pb2.RunResponse:
        """Run the program once. An error is logged here, and `bail` tells the engine that nothing is left to say."""
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # a failed program leaves futures that nobody awaits
        with _loop(request.parallel) as loop:
            try:
                self._configure(request)
                loop.run_until_complete(run_in_stack(lambda: _run_program(request)))
            except pulumi.RunError as fault:
                pulumi.log.error(str(fault))
                return language_pb2.RunResponse(bail=True)
            except grpc.RpcError as fault:
                return _engine_failed(fault)
            except SystemExit as end:
                return language_pb2.RunResponse(error=_exit_message(end))
            except Exception as fault:  # noqa: BLE001 - whatever a program raises is shown to its user
                pulumi.log.error("Program failed with an unhandled exception:\n" + _users_traceback(fault, request))
                return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse()

    def _configure(self, request: language_pb2.RunRequest) -> None:
        reset_options(
            project=request.project,
            stack=request.stack,
            root_directory=request.info.root_directory,
            parallel=request.parallel,
            engine_address=self.engine,
            monitor_address=request.monitor_address,
            preview=request.dryRun,
            organization=request.organization or "organization",
        )
        set_all_config(dict(request.config), list(request.configSecretKeys))

    def InstallDependencies(self, *_: object) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Install nothing: the set-up has made the environment from the lock file."""
        yield language_pb2.InstallDependenciesResponse(
            stdout=b"`make setup` keeps the Python environment; nothing to install.\n"
        )

    def RuntimeOptionsPrompts(self, *_: object) -> language_pb2.RuntimeOptionsResponse:
        """Ask nothing."""
        return language_pb2.RuntimeOptionsResponse()

    def GetProgramDependencies(self, *_: object) -> language_pb2.GetProgramDependenciesResponse:
        """Return what is installed in the environment."""
        found = {dist.name: dist.version for dist in importlib.metadata.distributions()}
        dependencies = [
            language_pb2.DependencyInfo(name=name, version=version) for name, version in sorted(found.items())
        ]
        return language_pb2.GetProgramDependenciesResponse(dependencies=dependencies)

    def RunPlugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        """Run a provider or a policy pack written in Python, and pass on what it prints until it ends."""
        process = subprocess.Popen(
            _plugin_command(request),
            cwd=request.pwd or None, env=dict(word.split("=", 1) for word in request.env if "=" in word),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        context.add_callback(process.terminate)
        for name, output in _outputs(process):
            yield (
                language_pb2.RunPluginResponse(stdout=output)
                if name == "stdout"
                else language_pb2.RunPluginResponse(stderr=output)
            )
        yield language_pb2.RunPluginResponse(exitcode=process.wait())

    def Cancel(self, *_: object) -> empty_pb2.Empty:
        """Do nothing: the engine interrupts the process when it wants it to end."""
        return empty_pb2.Empty()


def main() -> None:
    """Serve the engine whose address is the last argument, until it is gone."""
    woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake)  # any thread may take the signal, but only a main thread that is awake handles it
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    logging.getLogger("grpc").setLevel(logging.CRITICAL)  # calls that are not implemented are no news
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=THREADS_PER_OPERATION), options=_GRPC_CHANNEL_OPTIONS)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(sys.argv[-1]), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    _wait_until_nobody_reads(woken)
    os._exit(0)  # the program may be in the middle of a run whose threads would wait for the engine


def _wait_until_nobody_reads(woken: int) -> None:
    """Wait until standard output's reader, the engine, has ended, or a signal was noted on the pipe `woken`."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # errors and hang-ups are always reported
    poll.register(woken, select.POLLIN)
    poll.poll()


def _run_program(request: language_pb2.RunRequest) -> None:
    program = _program(request)
    if not program.exists() or (program.is_dir() and not (program / "__main__.py").exists()):
        msg = f"there is no Python program in {program}: it has no __main__.py"
        raise pulumi.RunError(msg)
    if request.pwd:
        os.chdir(request.pwd)
    sys.argv = [str(program), *request.args]
    runpy.run_path(str(program), run_name="__main__")


def _program(request: language_pb2.RunRequest) -> Path:
    return Path(request.info.program_directory, request.info.entry_point).resolve()


@contextlib.contextmanager
def _loop(parallel: int) -> Iterator[asyncio.AbstractEventLoop]:
    """Yield an event loop with as many threads as the engine wants operations; end its tasks and threads afterwards."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(futures.ThreadPoolExecutor(max_workers=max(parallel, 1) * THREADS_PER_OPERATION))
    try:
        yield loop
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
        loop.close()


def _engine_failed(fault: grpc.RpcError) -> language_pb2.RunResponse:
    if fault.code() is grpc.StatusCode.UNAVAILABLE:  # the engine is on its way out and has said why
        return language_pb2.RunResponse()
    pulumi.log.error(f"the engine refused a call: {fault.details()}")
    return language_pb2.RunResponse(bail=True)


def _exit_message(end: SystemExit) -> str:
    if end.code in (None, 0):
        return ""
    return str(end.code) if isinstance(end.code, str) else f"the program ended with exit code {end.code}"


def _users_traceback(fault: BaseException, request: language_pb2.RunRequest) -> str:
    """Return the traceback from the program's first own line on; all of it where no line of the program stands in it."""
    program = _program(request)
    mine = {str(program), str(program / "__main__.py")}
    trace = fault.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename not in mine:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(fault), fault, trace or fault.__traceback__))


def _plugin_command(request: language_pb2.RunPluginRequest) -> list[str]:
    directory = request.info.program_directory
    if request.kind == "analyzer":
        return [_python(request.info), "-u", "-m", "pulumi.policy", *request.args, directory]
    return [_python(request.info), "-u", directory, *request.args]


def _python(info: language_pb2.ProgramInfo) -> str:
    """Return the plugin's own Python where its settings name an environment that exists, else the one that runs this."""
    options = dict(info.options)
    own = Path(info.root_directory, str(options.get("virtualenv", "")), "bin", "python")
    return str(own) if options.get("virtualenv") and own.exists() else sys.executable


def _outputs(process: subprocess.Popen[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield what the process prints, named after its stream, in the order of arrival."""
    waiting: queue.Queue[tuple[str, bytes]] = queue.Queue()
    streams: dict[str, IO[bytes] | None] = {"stdout": process.stdout, "stderr": process.stderr}
    for name, stream in streams.items():
        threading.Thread(target=_read, args=(name, stream, waiting), daemon=True).start()
    for _ in streams:
        yield from iter(waiting.get, ("", b""))


def _read(name: str, stream: IO[bytes], waiting: queue.Queue[tuple[str, bytes]]) -> None:
    while chunk := os.read(stream.fileno(), 65536):
        waiting.put((name, chunk))
    waiting.put(("", b""))


if __name__ == "__main__":
    main()
