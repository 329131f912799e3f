from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from keelson.endpoint import Endpoint, Reference, resolve
from tests.docker.small_stack import SmallStack, small_stack


@pytest.fixture(scope="module")
def stack(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallStack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        with small_stack(docker_host, published=False) as made:
            yield made


@pytest.fixture
def main(stack: SmallStack) -> Endpoint:
    return resolve(Reference(stack=stack.key, target=stack.place, server="main"))


def test_a_server_without_a_port_is_reached_through_the_toolbox_and_verified(main: Endpoint) -> None:
    assert main.address.fleeting
    assert main.connection_parameters()["sslmode"] == "verify-full"
    with main.connect() as admin:
        assert admin.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)


def test_large_answers_and_questions_come_through_whole(main: Endpoint) -> None:
    text = "0123456789abcdef" * 500_000
    with main.connect() as admin:
        assert admin.execute("SELECT %s", [text]).fetchone() == (text,)


def test_many_connections_are_carried_at_once(main: Endpoint) -> None:
    def ask(number: int) -> object:
        with main.connect() as admin:
            return admin.execute("SELECT %s::int", [number]).fetchone()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, range(6))) == [(number,) for number in range(6)]


def test_the_process_inside_ends_with_its_connection(stack: SmallStack, main: Endpoint) -> None:
    await_relays(stack, 0)
    with main.connect() as admin:
        await_relays(stack, 1)
        assert admin.execute("SELECT 1").fetchone()
    await_relays(stack, 0)


def test_parts_without_a_port_say_none_and_answer(stack: SmallStack) -> None:
    found = stack.target.parts(stack.key)

    assert [(part.name, part.answering, part.port) for part in found] == [("main", True, None), ("redis", True, None)]


def await_relays(stack: SmallStack, count: int) -> None:
    until = time.monotonic() + 30
    while (found := relays(stack)) != count:
        assert time.monotonic() < until, f"{found} processes carry connections in place of {count}"


def relays(stack: SmallStack) -> int:
    processes = stack.container("toolbox").top(ps_args="-ww -eo pid,args")["Processes"]
    return sum("keelson.inside.relay" in " ".join(words) for words in processes)
