"""The process between supervisor and one server, on small programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keelson.local import runner
from tests.local.conftest import wait_until


@contextmanager
def _running(directory: Path, script: str) -> Iterator[subprocess.Popen[bytes]]:
    (directory / "pid").write_text(str(os.getpid()))
    options = ["--state", f"{directory}/note", "--lock", f"{directory}/lock", "--supervisor", f"{directory}/pid"]
    command = [
        sys.executable,
        "-I",
        "-S",
        runner.__file__,
        *options,
        "--sandboxed",
        "no",
        "--",
        "/bin/sh",
        "-c",
        script,
    ]
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _failures(directory: Path) -> int:
    return int(runner.recall(f"{directory}/note").get("failures", 0))


@pytest.mark.parametrize("end", ["exit 1", "kill -SEGV $$", "kill -ABRT $$"])
def test_a_program_that_fails_or_crashes_at_its_start_is_started_again_after_a_pause(tmp_path: Path, end: str) -> None:
    with _running(tmp_path, f"echo start >> {tmp_path}/starts; {end}"):
        wait_until(lambda: _failures(tmp_path) == 2)
        assert (tmp_path / "starts").read_text().count("start") == 2


def test_a_program_that_was_killed_is_started_again_at_once(tmp_path: Path) -> None:
    script = f"echo start >> {tmp_path}/starts; test $(wc -l < {tmp_path}/starts) -gt 5 || kill -KILL $$; exec sleep 60"
    with _running(tmp_path, script):
        wait_until(lambda: (tmp_path / "starts").exists() and (tmp_path / "starts").read_text().count("start") == 6)
        assert "failures" in json.loads((tmp_path / "note").read_text())
        assert _failures(tmp_path) == 0


def test_a_stop_ends_the_program_and_passes_its_status_on(tmp_path: Path) -> None:
    script = f"trap 'exit 7' TERM; touch {tmp_path}/ready; while :; do sleep 0.1; done"
    with _running(tmp_path, script) as process:
        wait_until(lambda: (tmp_path / "ready").exists() and "server" in runner.recall(f"{tmp_path}/note"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 7
