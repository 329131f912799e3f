"""What a killed engine leaves: locks whose process is gone, locks without a name, providers that wait for nobody."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from keelson import killed


def lock_of(folder, pid, taken, host=None):
    values = {"pid": pid, "username": "somebody", "hostname": host or socket.gethostname()}
    (folder / "a.json").write_text(json.dumps(values | {"timestamp": taken.isoformat()}))
    return killed.locks(folder)[0]


@pytest.fixture
def now():
    return datetime.now(UTC)


@pytest.fixture
def child():
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_lock_is_held_while_the_process_that_took_it_lives(tmp_path, now, child):
    assert not lock_of(tmp_path, child.pid, now + timedelta(seconds=2)).stale


def test_a_lock_is_stale_when_its_process_has_ended(tmp_path, now, child):
    child.kill()
    child.wait()
    assert lock_of(tmp_path, child.pid, now).stale


def test_a_lock_is_stale_when_another_process_has_its_number_now(tmp_path, now, child):
    assert lock_of(tmp_path, child.pid, now - timedelta(hours=1)).stale


def test_a_lock_of_another_machine_is_never_stale(tmp_path, now):
    assert not lock_of(tmp_path, 2**22, now, host="elsewhere").stale


def test_what_is_not_a_lock_is_left_to_the_engine(tmp_path):
    (tmp_path / "a.json").write_text("{")
    assert killed.locks(tmp_path) == []


def test_a_lock_that_was_never_finished_is_removed_and_one_that_is_being_written_is_not(tmp_path):
    old, new = tmp_path / "a.json.18a0.tmp", tmp_path / "b.json.18a1.tmp"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    assert killed.forget_half_written(tmp_path)
    assert list(tmp_path.iterdir()) == [new]
    assert not killed.forget_half_written(tmp_path)


def test_notes_that_were_never_written_are_removed_and_others_stay(tmp_path):
    left, written, young = (tmp_path / f"{name}.json.attrs" for name in ("dev", "prod", "test"))
    for path in (left, written, young):
        path.touch()
    written.write_text('{"user.content_type": "text/plain"}')
    for path in (left, written):
        os.utime(path, (0, 0))
    assert killed.forget_empty_attributes(tmp_path)
    assert sorted(tmp_path.iterdir()) == [written, young]
    assert not killed.forget_empty_attributes(tmp_path)


def provider(port):
    """What a dynamic provider's process looks like to others."""
    return subprocess.Popen(
        [sys.executable, "-c", "input()", "-u", "-m", "pulumi.dynamic", f"127.0.0.1:{port}"], stdin=-1
    )


def test_a_provider_whose_engine_is_gone_is_ended_and_no_other():
    with socket.create_server(("127.0.0.1", 0)) as engine, socket.create_server(("127.0.0.1", 0)) as other:
        alive, forsaken = provider(engine.getsockname()[1]), provider(other.getsockname()[1])
        try:
            other.close()
            killed.end_forsaken_providers()
            assert forsaken.wait(10) == -15
            assert alive.poll() is None
        finally:
            for process in (alive, forsaken):
                process.kill()
                process.communicate()
