"""Processes in pods: what goes in and what comes out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from keelson.errors import PlatformError, UnreachableError
from keelson.kubernetes import toolbox as boxes
from keelson.kubernetes import websocket
from keelson.kubernetes.streams import ExecStream
from tests.kubernetes.ground import OWN, Ground

pytestmark = pytest.mark.kubernetes


@contextmanager
def started(toolbox: Ground, *command: str, **options: Any) -> Iterator[ExecStream]:
    with closing(boxes.stream(toolbox.place, toolbox.key, command, **options)) as stream:
        yield stream


def rest(stream: ExecStream) -> bytes:
    return b"".join(iter(stream.read, b""))


def test_outputs_come_apart_and_the_status_after_them(toolbox: Ground) -> None:
    with started(toolbox, "sh", "-c", "echo out; echo err >&2; exit 7") as stream:
        assert rest(stream) == b"out\n"
        assert stream.said == b"err\n"
        assert stream.status() == 7


def test_large_binary_input_comes_through_whole_and_ends(toolbox: Ground) -> None:
    text = os.urandom(8_000_000)

    def write() -> None:
        stream.write(text)
        stream.end_input()

    with started(toolbox, "cat") as stream:
        writer = threading.Thread(target=write)
        writer.start()
        assert rest(stream) == text
        writer.join()
        assert stream.status() == 0


def test_lines_are_read_one_by_one(toolbox: Ground) -> None:
    with started(toolbox, "sh", "-c", "read line; echo got $line; echo second; exec cat") as stream:
        stream.write(b"it\n")
        assert [stream.read_line(), stream.read_line()] == [b"got it\n", b"second\n"]


def test_a_terminal_has_a_size_that_follows(toolbox: Ground) -> None:
    until = 'until [ "$(stty size)" = "%s" ]; do sleep 0.02; done; echo as $TERM'
    shown = "; ".join([until % "33 77", until % "40 100", "exit 3"])
    with started(toolbox, "sh", "-c", shown, terminal=True, environment={"TERM": "xterm"}) as stream:
        stream.resize(33, 77)
        assert stream.read_line() == b"as xterm\r\n"
        stream.resize(40, 100)
        assert rest(stream) == b"as xterm\r\n"
        assert stream.status() == 3


def test_a_killed_process_has_a_status(toolbox: Ground) -> None:
    with started(toolbox, "sh", "-c", "kill -9 $$") as stream:
        assert rest(stream) == b""
        assert stream.status() == 137


def test_a_command_that_is_not_there_is_told(toolbox: Ground) -> None:
    with started(toolbox, "/nowhere") as stream:
        assert rest(stream) == b""
        with pytest.raises(
            PlatformError, match=r"pod toolbox .* runs no command: .*no such file.*kubectl .* describe pod"
        ):
            stream.status()


def test_a_stream_that_is_closed_ends_for_who_reads_and_for_the_process(toolbox: Ground) -> None:
    with started(toolbox, "sh", "-c", "echo begun; cat; echo gone > $HOME/closed") as stream:
        assert stream.read_line() == b"begun\n"
        reader = threading.Thread(target=stream.read)
        reader.start()
        stream.close()
        reader.join(10)
        assert not reader.is_alive()
        with pytest.raises(UnreachableError, match="was dropped"):
            stream.status()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with started(toolbox, "cat", f"{OWN}/closed") as look:
            if rest(look) == b"gone\n":
                return
    pytest.fail("the process did not read the end of its input")


def test_silence_is_answered_by_the_other_side_and_kept(toolbox: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "HEARTBEAT", 0.05)
    monkeypatch.setattr(websocket, "SILENCE", 0.5)
    with started(toolbox, "sh", "-c", "sleep 1.5; echo still there") as stream:
        assert rest(stream) == b"still there\n"


def test_a_connection_without_answers_is_noticed(toolbox: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "HEARTBEAT", 0.02)
    monkeypatch.setattr(websocket, "SILENCE", 0.1)
    with started(toolbox, "sleep", "60") as stream:
        monkeypatch.setattr(stream._connection._web, "ping", lambda: None)  # as a network that swallows it
        assert stream.read() == b""
        with pytest.raises(UnreachableError, match="was dropped"):
            stream.status()


def test_who_takes_nothing_is_not_taken_for_gone(toolbox: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "HEARTBEAT", 0.05)
    monkeypatch.setattr(websocket, "SILENCE", 0.2)
    text = bytes(4_000_000)
    with started(toolbox, "sh", "-c", "sleep 1; wc -c") as stream:

        def write() -> None:
            stream.write(text)
            stream.end_input()

        threading.Thread(target=write, daemon=True).start()
        assert rest(stream).split() == [b"4000000"]
