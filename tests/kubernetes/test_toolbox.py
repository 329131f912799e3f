"""The toolbox's pod: questions to it, and commands in it."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keelson.errors import UnreachableError
from keelson.kubernetes import shell, state
from keelson.kubernetes import toolbox as boxes
from tests.kubernetes.ground import OWN, Ground, await_until

pytestmark = pytest.mark.kubernetes

RUN = "import sys; from keelson.kubernetes import shell; sys.exit(shell.run(sys.argv[1], sys.argv[2], sys.argv[3:], reads=False))"


def test_a_question_sees_the_state_as_it_is_now(toolbox: Ground) -> None:
    first = toolbox.ask("ensure_password", server="main", role="told")
    assert boxes.ask(toolbox.place, toolbox.key, "password", server="main", role="told") == first

    toolbox.ask("ensure_password", server="main", role="told", chosen="another")
    assert boxes.ask(toolbox.place, toolbox.key, "password", server="main", role="told") == "another"
    assert boxes.ask_apart(toolbox.place, toolbox.key, "password", server="main", role="told") == "another"


def test_what_the_state_has_no_more_is_gone_inside_and_the_rest_stays(toolbox: Ground) -> None:
    toolbox.ask("put_settings", text="{}")
    boxes.tell(toolbox.place, toolbox.key)
    assert "stack-settings.json" in listed(toolbox)
    note = f"{OWN}/state/keelson/stacks/{toolbox.key}/agent-note"
    done(toolbox, "touch", note)

    before = state.read(toolbox.place, toolbox.key)
    kept = {path: text for path, text in before.files.items() if path != "stack-settings.json"}
    state._write(toolbox.cluster, toolbox.key, state.State(kept, before.version))
    boxes.tell(toolbox.place, toolbox.key)

    assert "stack-settings.json" not in listed(toolbox)
    assert "agent-note" in listed(toolbox)
    assert set(done(toolbox, "find", str(Path(note).parent), "-name", "*.json", "-printf", "%m ").split()) == {b"600"}


def test_another_pod_is_asked_after_the_first_has_gone(toolbox: Ground, bare: str) -> None:
    assert boxes.ask(toolbox.place, toolbox.key, "records")
    toolbox.cluster.delete(toolbox.cluster.at("pods", "toolbox"), gracePeriodSeconds=0)
    said = r"the toolbox of stack .* has no pod that is ready .* run `keelson start`"
    await_until(lambda: re.search(said, refusal(toolbox)) is not None)  # its process outlives the pod for a moment
    toolbox.make_toolbox(bare)
    assert boxes.ask(toolbox.place, toolbox.key, "records")


def test_a_commands_streams_and_status_are_this_processes(toolbox: Ground) -> None:
    found = run(toolbox, "backup", "--help")
    assert (found.returncode, b"drill" in found.stdout or b"list" in found.stdout) == (0, True)

    wrong = run(toolbox, "nonsense")
    assert wrong.returncode == 2
    assert b"nonsense" in wrong.stderr


def test_a_command_in_a_terminal_has_one_inside(toolbox: Ground) -> None:
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, toolbox.place, toolbox.key, "backup", "--help"],
        stdin=child, stdout=child, stderr=child, start_new_session=True,
    )  # fmt: skip
    os.close(child)
    shown, until = b"", time.monotonic() + 60
    try:
        while time.monotonic() < until and select.select([parent], [], [], until - time.monotonic())[0]:
            try:
                shown += os.read(parent, 65536)
            except OSError:  # the terminal has nobody on its other side
                break
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(parent)
    assert b"Usage" in shown
    assert b"\r\n" in shown


def test_a_directory_is_copied_into_the_toolbox_and_goes_with_the_command(toolbox: Ground, tmp_path: Path) -> None:
    given = tmp_path / "backup"
    (given / "deep").mkdir(parents=True)
    (given / "deep" / "file").write_bytes(os.urandom(3_000_000))
    inside = shell.Toolbox(toolbox.place, toolbox.key)

    with shell.shell._copied(inside, given) as path:
        assert path.endswith("/backup")
        assert done(toolbox, "find", path, "-type", "f", "-printf", "%m %s").split() == [b"600", b"3000000"]

    assert b"incoming" not in done(toolbox, "ls", f"{OWN}/data/keelson")


def refusal(toolbox: Ground) -> str:
    try:
        boxes.ask(toolbox.place, toolbox.key, "records")
    except UnreachableError as fault:
        return str(fault)
    return ""


def run(toolbox: Ground, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", RUN, toolbox.place, toolbox.key, *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def done(toolbox: Ground, *command: str) -> bytes:
    stream = boxes.stream(toolbox.place, toolbox.key, command)
    output = b"".join(iter(stream.read, b""))
    assert stream.status() == 0, stream.said
    stream.close()
    return output


def listed(toolbox: Ground) -> list[str]:
    return done(toolbox, "ls", f"{OWN}/state/keelson/stacks/{toolbox.key}").decode().split()
