"""Threads that end together, whatever comes."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from keelson.backups.threads import at_once

SECONDS = 30.0


def test_a_signal_ends_the_work_and_is_delivered_when_the_threads_have_ended() -> None:
    over, done = threading.Event(), threading.Event()

    def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert over.wait(SECONDS)
        done.set()

    with pytest.raises(KeyboardInterrupt), at_once(2, "test", over.set) as threads:
        threads.settle([threads.submit(work)])
    assert done.is_set()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_failure_ends_the_rest_and_is_raised() -> None:
    over = threading.Event()

    def fail() -> None:
        msg = "no"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="no"), at_once(2, "test", over.set) as threads:
        threads.settle([threads.submit(fail), threads.submit(over.wait, SECONDS)])
    assert over.is_set()


def test_what_all_went_well_is_waited_for() -> None:
    with at_once(2, "test", lambda: pytest.fail("it went well")) as threads:
        found = [threads.submit(int, "1"), threads.submit(int, "2")]
        threads.settle(found)
    assert [each.result() for each in found] == [1, 2]
