"""That two servers never work on one volume; as in a container, by the script itself."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from keelson.containers import alone

SCRIPT = Path(alone.__file__).with_name(alone.FILE)


@contextmanager
def _started(volume: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    shell = shutil.which("sh")
    assert shell
    process = subprocess.Popen(
        [shell, str(SCRIPT), str(volume), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def test_the_second_waits_until_the_first_and_all_its_children_have_ended(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(_started(tmp_path, "sh", "-c", "cat & echo first; exec cat"))
        assert _line(first) == "first\n"
        second = stack.enter_context(_started(tmp_path, "echo", "second"))
        assert _line(second) == f"keelson: waits until nobody else works on {tmp_path}\n"
        other = tmp_path / "another"
        other.mkdir()
        third = stack.enter_context(_started(other, "echo", "third"))
        assert _line(third) == "third\n"
        assert second.poll() is None
        first.communicate()  # ends its input, and so both of its processes
        assert _line(second) == "second\n"


def test_who_waits_can_be_ended(tmp_path: Path) -> None:
    with _started(tmp_path, "sh", "-c", "echo first; exec cat") as first:
        assert _line(first)
        with _started(tmp_path, "echo") as second:
            assert "waits" in _line(second)
            second.terminate()
            assert second.wait(60) == 143


def test_where_nothing_can_be_locked_it_runs_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "flock").write_text("#!/bin/sh\necho flock: Bad file descriptor >&2\nexit 65\n")
    (tmp_path / "flock").chmod(0o755)
    with _started(tmp_path, "sh", "-c", f"PATH={tmp_path}:$PATH exec sh {SCRIPT} {tmp_path} echo ran") as process:
        assert process.communicate()[0].endswith("flock: Bad file descriptor\nran\n")
