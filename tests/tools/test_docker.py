from __future__ import annotations

import json
import socket

import pytest

from tools.machine import docker


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A machine without dockerd, where a client would look in a home of its own."""
    monkeypatch.setattr(docker.shutil, "which", lambda program: None if program == "dockerd" else f"/bin/{program}")
    monkeypatch.setattr(docker, "SOCKET", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def installed(monkeypatch):
    """What would have been run, with the policy that held meanwhile."""
    calls = []
    monkeypatch.setattr(docker, "run", lambda command, **_: calls.append((*command, docker.POLICY.read_text())))
    return calls


@pytest.mark.usefixtures("nowhere")
def test_a_daemon_that_answers_is_enough(monkeypatch, capsys, installed):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        docker.ensure()
    assert not installed
    assert capsys.readouterr().out == ""


def test_the_current_context_is_where_a_daemon_is_looked_for(nowhere):
    (nowhere / "config.json").write_text(json.dumps({"currentContext": "far"}))
    meta = nowhere / "contexts" / "meta" / "1" / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": "far", "Endpoints": {"docker": {"Host": "tcp://192.0.2.1:2376"}}}))
    assert docker.address() == "tcp://192.0.2.1:2376"


def test_root_gets_dockerd_and_no_service_starts_meanwhile(nowhere, monkeypatch, installed):
    policy = nowhere / "policy-rc.d"
    monkeypatch.setattr(docker, "POLICY", policy)
    monkeypatch.setattr(docker.os, "geteuid", lambda: 0)
    monkeypatch.setattr(docker, "run", lambda command, **_: installed.append((command, policy.exists())))
    docker.ensure()
    (_, before), (install, during) = installed
    assert (before, during) == (False, True)
    assert install[-2:] == ["docker.io", "iptables"]
    assert not policy.exists()


@pytest.mark.usefixtures("nowhere")
def test_who_may_not_install_is_told_what_is_left_out(monkeypatch, capsys, installed):
    monkeypatch.setattr(docker.os, "geteuid", lambda: 1000)
    docker.ensure()
    said = capsys.readouterr().out
    assert "only root can start one for the tests: the tests of target docker are left out" in said
    assert said.count("\n") == 1
    assert not installed


@pytest.mark.parametrize("address", ["unix:///no/such.sock", "tcp://127.0.0.1:1", "tcp://nonsense", ""])
def test_a_daemon_that_is_not_there_does_not_answer(address):
    assert not docker.answers(address)
