from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keelson.errors import PortInUseError
from keelson.local import ports, registry, server
from tests.local.conftest import LocalStack, free_port, listener


def test_the_preferred_port_is_taken_where_it_is_free(unused_port: int) -> None:
    assert ports.choose(unused_port, mine="a-dev/main") == ports.Choice(unused_port)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::"])  # noqa: S104
def test_a_port_in_use_gives_the_next_and_says_who_has_it(address: str) -> None:
    with listener(address=address) as port:
        choice = ports.choose(port)
        assert choice.port > port
        assert re.fullmatch(rf"port {port} is in use by \S+, pid {os.getpid()}; taking {choice.port}", choice.notes[0])


def test_ports_to_avoid_are_avoided_without_a_word(unused_port: int) -> None:
    choice = ports.choose(unused_port, {unused_port, unused_port + 1})
    assert choice.port > unused_port + 1


def test_a_fixed_port_in_use_is_refused_by_name() -> None:
    with listener() as port, pytest.raises(PortInUseError, match=f"port {port} is in use by .*, pid {os.getpid()}"):
        ports.choose(1, fixed=port)


def test_a_postgres_server_is_recognised_with_its_stack(running: LocalStack) -> None:
    port = registry.Registry(running.key).server("main").port
    holder = ports.holder(port)
    assert holder.postgres
    assert str(holder) == f"PostgreSQL 17, main of stack test-dev (postgres, pid {running.pid()})"


def test_a_postgres_server_of_another_user_is_recognised_by_its_answer(
    running: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "_owner", lambda _: 0)
    monkeypatch.setattr(ports, "_recorded", dict)
    assert str(ports.holder(registry.Registry(running.key).server("main").port)) == "PostgreSQL"


def test_choosers_at_one_moment_get_ports_of_their_own(unused_port: int) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        chosen = list(pool.map(lambda n: ports.choose(unused_port, mine=f"s{n}-dev/main").port, range(8)))
    assert len(set(chosen)) == 8


def test_a_stopped_stack_keeps_its_port(make_stack: object) -> None:
    first, second = make_stack("one-dev"), make_stack("two-dev")
    second.base_port = first.base_port
    kept = first.up().port
    server.stop_stack(first.key)
    state = second.up()
    assert state.port != kept
    assert state.notes == (f"port {kept} is kept for main of stack one-dev; taking {state.port}",)
    assert server.start_stack(first.key)["main"].port == kept


def test_a_dynamic_port_in_use_gives_another_that_stays(local: LocalStack) -> None:
    with listener(local.base_port):
        state = local.up()
    assert state.port > local.base_port
    assert str(os.getpid()) in state.notes[0]
    server.stop_stack(local.key)
    assert server.start_stack(local.key)["main"].port == state.port
    assert server.restart(local.key, "main").port == state.port


def test_another_stacks_server_on_the_port_is_named(make_stack: object) -> None:
    first, second = make_stack("one-dev"), make_stack("two-dev")
    second.base_port = first.up().port
    state = second.up()
    assert "PostgreSQL 17, main of stack one-dev" in state.notes[0]


def test_a_fixed_port_in_use_stops_the_start(local: LocalStack) -> None:
    with listener() as port, pytest.raises(PortInUseError, match=f"port {port} is in use by"):
        local.up(port=port)
    assert local.up(port=port).port == port


def test_a_port_taken_while_the_stack_was_down_asks_for_new_port(running: LocalStack) -> None:
    port = registry.Registry(running.key).server("main").port
    server.stop_stack(running.key)
    with listener(port):
        with pytest.raises(PortInUseError) as refused:
            server.start_stack(running.key)
        assert f"port {port} of main was taken while it was down, by" in str(refused.value)
        assert "keelson start --new-port" in str(refused.value)
        state = server.start_stack(running.key, new_port=True)["main"]
        assert state.port != port
    server.stop_stack(running.key)
    assert server.start_stack(running.key)["main"].port == state.port


def test_a_fixed_port_that_a_sibling_has_is_refused(local: LocalStack) -> None:
    first = local.up("main")
    with pytest.raises(PortInUseError, match="main of stack test-dev"):
        local.up("second", port=first.port)


def test_a_changed_fixed_port_moves_the_server(running: LocalStack) -> None:
    port = free_port()
    assert server.start(running.spec(port=port)).port == port
    assert running.answering()


def test_a_port_lost_between_choice_and_start_gives_the_next(
    local: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listener() as port:
        real = ports.choose
        answers = iter([ports.Choice(port)])
        monkeypatch.setattr(ports, "choose", lambda *a, **k: next(answers, None) or real(*a, **k))
        state = local.up()
    assert state.port != port
    assert local.answering()


def test_a_damaged_registry_of_one_stack_does_not_stop_the_choice_of_another(unused_port: int, home: Path) -> None:
    damaged = home / "state/keelson/stacks/other-dev/stack.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    assert ports.choose(unused_port, mine="a-dev/main").port == unused_port


def test_the_port_of_a_daemon_that_is_down_is_kept_for_it(unused_port: int) -> None:
    record = registry.DaemonRecord("redis", "redis", unused_port)
    registry.Registry("other-dev").record_daemon("0123456789ab", record)
    choice = ports.choose(unused_port, mine="a-dev/redis")
    assert choice.notes == (f"port {unused_port} is kept for redis of stack other-dev; taking {choice.port}",)
