"""Servers that are replaced, moved, reconfigured: rows are counted before and after."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.stack.harness import StackUnderTest


@contextlib.contextmanager
def _taken(port: int) -> Iterator[None]:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.local
def test_every_server_replaced_keeps_its_rows(stack: StackUnderTest) -> None:
    stack.write_settings(servers={"main": {}, "second": {"preferred_port": 5532}})
    stack.write_service("other")
    (stack.root / "sql/other/database.yaml").write_text("server: second\n")
    stack.keelson("up")
    moved = {name: {"data_directory": str(stack.home / "elsewhere" / name)} for name in ("main", "second")}
    moved["second"]["preferred_port"] = "5532"
    stack.write_settings(servers=moved)
    stack.keelson("up")
    assert (stack.home / "elsewhere/main").is_dir()
    assert not list((stack.home / "data/keelson/stacks").rglob("PG_VERSION"))
    assert [stack.count(service, "notes") for service in ("notes", "other")] == [10, 10]
    stack.write_settings(servers={name: values | {"version": "17.11"} for name, values in moved.items()})
    stack.keelson("up")
    assert [stack.count(service, "notes") for service in ("notes", "other")] == [10, 10]
    stack.keelson("destroy", "--yes")
    assert not list((stack.home / "elsewhere").rglob("PG_VERSION"))


def test_a_parameter_is_applied_by_reload_or_restart(stack: StackUnderTest) -> None:
    stack.keelson("up")
    stack.write_settings(postgres={"work_mem": "7MB", "max_connections": 55})
    assert "main-process" in stack.keelson("up").stdout
    with stack.connect("notes", "admin") as connection:
        shown = [connection.execute(f"SHOW {name}").fetchone()[0] for name in ("work_mem", "max_connections")]
    assert shown == ["7MB", "55"]
    assert stack.count("notes", "notes") == 10


def test_a_port_in_use_gives_the_next_and_says_who_has_it(stack: StackUnderTest, target: str) -> None:
    port = _free_port()
    stack.write_settings(servers={"main": {"preferred_port": port}})
    with _taken(port):
        said = stack.keelson("up")
        status = stack.keelson("status").stdout
    if target == "local":  # a daemon does not tell who has a port of its machine
        assert f"server main: port {port} is in use by" in said.stdout
        assert f"not on {port}, where " in said.stderr
        assert f"not on {port}, where " in status
    url = stack.url("notes")
    assert f":{port}/" not in url
    stack.keelson("restart")
    assert stack.url("notes") == url


def test_a_fixed_port_in_use_is_an_error(stack: StackUnderTest) -> None:
    port = _free_port()
    stack.write_settings(servers={"main": {"port": port}})
    with _taken(port):
        refused = stack.keelson("up", check=False)
    assert refused.returncode == 1
    assert f"port {port}" in refused.stdout
    assert "Traceback" not in refused.stdout
    stack.keelson("up")
    assert f":{port}/" in stack.url("notes")


def test_a_port_that_was_taken_while_the_stack_was_down_is_changed_on_demand_alone(stack: StackUnderTest) -> None:
    stack.write_settings(servers={"main": {"preferred_port": _free_port()}})
    stack.keelson("up")
    url = stack.url("notes")
    port = int(url.split(":")[-1].split("/")[0])
    stack.keelson("stop")
    with _taken(port):
        refused = stack.keelson("start", check=False)
        assert refused.returncode == 1
        (step,) = re.findall(r"`keelson (\w+ --new-port)`", refused.stderr)
        stack.keelson(*step.split())
        assert stack.count("notes", "notes") == 10
    assert stack.url("notes") != url
    assert stack.count("notes", "notes") == 10
    assert "to replace" not in stack.keelson("up").stdout


def test_two_stacks_side_by_side(make_stack: Callable[..., StackUnderTest]) -> None:
    stacks = [make_stack("one"), make_stack("two")]
    for stack in stacks:
        stack.write_service("notes")
        stack.keelson("up")
    assert stacks[0].url("notes") != stacks[1].url("notes")
    stacks[0].keelson("destroy", "--yes")
    assert stacks[1].count("notes", "notes") == 10


@pytest.mark.local
@pytest.mark.parametrize("setting", [{"data_directory": "relative/path"}])
def test_a_relative_data_directory_is_refused(stack: StackUnderTest, setting: dict[str, str]) -> None:
    stack.write_settings(servers={"main": setting})
    refused = stack.keelson("up", check=False)
    assert "'keelson:servers.main.data_directory' is wrong" in refused.stderr
