from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from keelson.agent import looks
from keelson.agent.looks import Look
from tests.stack.harness import wait_until


class Thing:
    """What is looked at; while it is frozen a look at it hangs."""

    def __init__(self) -> None:
        self.looks = 0
        self.moving = threading.Event()
        self.moving.set()

    def look(self) -> int:
        self.looks += 1
        assert self.moving.wait(30)
        return self.looks


def _took(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def test_those_who_ask_at_once_share_one_look() -> None:
    thing = Thing()
    look = Look(thing.look, 10)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: look.result(), range(40))) == {1}


def test_an_answer_that_is_no_longer_fresh_is_sought_again(monkeypatch: pytest.MonkeyPatch) -> None:
    thing = Thing()
    look = Look(thing.look, 10)
    assert (look.result(), look.result()) == (1, 1)
    monkeypatch.setattr(looks, "FRESH", 0)
    wait_until(lambda: look.result() > 1, "another look")


def test_a_look_that_hangs_is_given_up_and_costs_one_thread() -> None:
    thing = Thing()
    thing.moving.clear()
    look = Look(thing.look, 0.2)
    before = threading.active_count()

    def ask() -> None:
        with pytest.raises(TimeoutError):
            look.result()

    assert _took(ask) < 5
    assert _took(ask) < 0.1
    assert (thing.looks, threading.active_count()) == (1, before + 1)
    thing.moving.set()
    wait_until(lambda: look.begin().done(), "the look ended")
    assert look.result() == 1


def test_a_fault_reaches_the_one_who_asks() -> None:
    look: Look[float] = Look(lambda: 1 / 0, 5)
    with pytest.raises(ZeroDivisionError):
        look.result()
