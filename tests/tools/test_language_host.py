from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent import futures

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    language_pb2,
    language_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
)

from tools.machine.places import PROJECT

HOST = PROJECT / "tools" / "engine"
SOON = 20  # seconds


class RecordingEngine(engine_pb2_grpc.EngineServicer, resource_pb2_grpc.ResourceMonitorServicer):
    """An engine and resource monitor that accept everything and remember what a program said and registered."""

    def __init__(self):
        self.said: list[str] = []
        self.registered: list[str] = []
        self.outputs: dict[str, object] = {}

    def Log(self, request, _context):
        if request.severity > engine_pb2.DEBUG:
            self.said.append(request.message)
        return empty_pb2.Empty()

    def SupportsFeature(self, _request, _context):
        return resource_pb2.SupportsFeatureResponse(hasSupport=False)

    def RegisterResource(self, request, _context):
        self.registered.append(request.type)
        return resource_pb2.RegisterResourceResponse(urn=f"urn:pulumi:dev::p::{request.type}::{request.name}")

    def RegisterResourceOutputs(self, request, _context):
        self.outputs = dict(request.outputs)
        return empty_pb2.Empty()


@pytest.fixture
def engine():
    """A recording engine, and its address."""
    recording = RecordingEngine()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    engine_pb2_grpc.add_EngineServicer_to_server(recording, server)
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(recording, server)
    recording.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield recording
    server.stop(0).wait()


@pytest.fixture
def process(engine):
    """The language host as the engine starts it."""
    command = [sys.executable, "-u", HOST / "language_host.py", "--tracing=x", engine.address]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    yield started
    started.kill()
    started.communicate()


@pytest.fixture
def host(process):
    """A client of the language host."""
    with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
        yield language_pb2_grpc.LanguageRuntimeStub(channel)


@pytest.fixture
def run(host, engine, tmp_path) -> Callable[..., language_pb2.RunResponse]:
    """Run a program's text."""

    def run_program(text: str | None, **config: str) -> language_pb2.RunResponse:
        if text is not None:
            (tmp_path / "__main__.py").write_text(text)
        directory = str(tmp_path)
        info = language_pb2.ProgramInfo(root_directory=directory, program_directory=directory, entry_point=".")
        request = language_pb2.RunRequest(
            project="p",
            stack="dev",
            pwd=directory,
            info=info,
            monitor_address=engine.address,
            parallel=4,
            dryRun=True,
            config=config,
        )
        return host.Run(request, timeout=SOON)

    return run_program


def test_it_tells_which_python_runs_the_program(host):
    about = host.About(language_pb2.AboutRequest(), timeout=SOON)
    assert about.executable == sys.executable


def test_it_answers_what_the_command_line_asks(host):
    assert host.GetPluginInfo(empty_pb2.Empty(), timeout=SOON).version
    assert not host.GetRequiredPackages(language_pb2.GetRequiredPackagesRequest(), timeout=SOON).packages
    assert not host.RuntimeOptionsPrompts(language_pb2.RuntimeOptionsRequest(), timeout=SOON).prompts
    assert [*host.InstallDependencies(language_pb2.InstallDependenciesRequest(), timeout=SOON)]
    found = host.GetProgramDependencies(language_pb2.GetProgramDependenciesRequest(), timeout=SOON).dependencies
    assert "pulumi" in {dependency.name for dependency in found}


def test_a_call_that_it_lacks_is_unimplemented_without_noise(host, process):
    with pytest.raises(grpc.RpcError) as refused:
        host.Pack(language_pb2.PackRequest(), timeout=SOON)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    process.terminate()
    assert process.communicate(timeout=SOON)[1] == b""


def test_a_program_runs_with_its_settings_and_its_outputs_arrive(run, engine, tmp_path):
    program = "import os, pulumi\npulumi.export('where', os.getcwd())\npulumi.export('size', pulumi.Config().require('size'))\n"
    answer = run(program, **{"p:size": "small"})
    assert not answer.bail
    assert answer.error == ""
    assert engine.registered == ["pulumi:pulumi:Stack"]
    assert engine.outputs["size"] == "small"
    assert engine.outputs["where"] == str(tmp_path)


def test_what_a_program_prints_reaches_the_engine(run, process):
    run("print('hello from the program')\n")
    assert process.stdout.readline() == b"hello from the program\n"


def test_an_expected_failure_is_one_sentence(run, engine):
    answer = run(
        "import pulumi\nclass Refused(pulumi.RunError): ...\nraise Refused('the port is taken; choose another')\n"
    )
    assert answer.bail
    assert engine.said == ["the port is taken; choose another"]


def test_an_unexpected_failure_is_one_traceback_that_starts_in_the_program(run, engine, tmp_path):
    answer = run("def part():\n    raise ValueError('bad thing')\npart()\n")
    assert answer.bail
    (said,) = engine.said
    assert said.count("Traceback") == 1
    assert "language_host" not in said
    assert f'File "{tmp_path}/__main__.py", line 3' in said
    assert said.rstrip().endswith("ValueError: bad thing")


def test_a_missing_program_is_named(run, engine, tmp_path):
    assert run(None).bail
    assert engine.said == [f"there is no Python program in {tmp_path}: it has no __main__.py"]


@pytest.mark.parametrize(("code", "error"), [("0", ""), ("3", "the program ended with exit code 3"), ("'why'", "why")])
def test_a_program_that_exits_says_how(run, code, error):
    assert run(f"import sys\nsys.exit({code})\n").error == error


def test_a_plugin_in_python_runs_with_its_output_passed_on(host, tmp_path):
    (tmp_path / "__main__.py").write_text(
        "import sys\nprint(*sys.argv[1:])\nprint('oh', file=sys.stderr)\nsys.exit(3)\n"
    )
    info = language_pb2.ProgramInfo(root_directory=str(tmp_path), program_directory=str(tmp_path), entry_point=".")
    request = language_pb2.RunPluginRequest(
        pwd=str(tmp_path), info=info, args=["127.0.0.1:1"], kind="resource", env=["PATH=/usr/bin"]
    )
    answers = list(host.RunPlugin(request, timeout=SOON))
    assert b"".join(answer.stdout for answer in answers) == b"127.0.0.1:1\n"
    assert b"".join(answer.stderr for answer in answers) == b"oh\n"
    assert answers[-1].exitcode == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly_when_interrupted(host, process, number):
    host.About(language_pb2.AboutRequest(), timeout=SOON)
    process.send_signal(number)
    _, complaints = process.communicate(timeout=SOON)
    assert process.returncode == 0
    assert complaints == b""


def test_it_ends_when_the_engine_is_gone_even_in_the_middle_of_a_run(run, process):
    def interrupted():
        with pytest.raises(grpc.RpcError):
            run("import threading\nprint('busy')\nthreading.Event().wait()\n")

    busy = threading.Thread(target=interrupted)
    busy.start()
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(SOON) == 0
    busy.join(SOON)


def test_the_launcher_takes_the_environment_that_the_project_names(tmp_path):
    venv = tmp_path / "environment" / "bin"
    venv.mkdir(parents=True)
    (venv / "python").write_text('#!/bin/sh\necho "$@"\n')
    (venv / "python").chmod(0o755)
    (tmp_path / "Pulumi.yaml").write_text(
        "name: p\nruntime:\n  name: python\n  options:\n    virtualenv: environment\n"
    )
    (tmp_path / "deep").mkdir()
    done = subprocess.run(
        [HOST / "pulumi-language-python", "engine:1"], cwd=tmp_path / "deep", check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["-u", str(HOST / "language_host.py"), "engine:1"]
