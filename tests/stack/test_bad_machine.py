"""A machine that is not as it should be: one sentence, and nothing is changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from keelson import paths
from tests.stack.harness import StackUnderTest


def _refusal(stack: StackUnderTest) -> str:
    refused = stack.keelson("up", check=False)
    said = refused.stdout + refused.stderr
    assert refused.returncode == 1
    assert "Traceback" not in said
    return said


@pytest.mark.local
def test_a_damaged_private_root_is_told_with_the_way_back(stack: StackUnderTest) -> None:
    cache = stack.home / "cache/keelson"
    damaged = cache / "root/damaged"
    manifest = json.loads((paths.cache() / "root/current/etc/keelson-root.json").read_text())
    (damaged / "etc").mkdir(parents=True)
    (damaged / "etc/keelson-root.json").write_text(json.dumps(manifest))
    (cache / "root/current").symlink_to("damaged")
    (cache / "engine").symlink_to(paths.cache() / "engine")
    stack.variables["XDG_CACHE_HOME"] = str(stack.home / "cache")
    said = _refusal(stack)
    assert "the private Debian root" in said
    assert "is damaged" in said
    assert "run `make setup`" in said
    assert not (stack.home / "data").exists()
    del stack.variables["XDG_CACHE_HOME"]
    stack.keelson("up")
    assert stack.count("notes", "notes") == 10


@pytest.mark.local
def test_a_data_directory_of_another_stack_is_refused(make_stack: Callable[..., StackUnderTest]) -> None:
    first, second = make_stack("dev"), make_stack("second")
    for stack in (first, second):
        stack.write_service("notes")
    first.keelson("up")
    theirs = first.home / "data/keelson/stacks" / first.key / "main"
    second.write_settings(servers={"main": {"data_directory": str(theirs)}})
    assert f"{first.key}" in _refusal(second)
    assert first.count("notes", "notes") == 10


@pytest.mark.local
def test_a_data_directory_of_another_major_version_is_refused_and_kept(stack: StackUnderTest) -> None:
    stack.keelson("up")
    stack.keelson("stop")
    version = stack.home / "data/keelson/stacks" / stack.key / "main/pgdata/PG_VERSION"
    version.write_text("16\n")
    assert "is of PostgreSQL 16 and this installation runs 17" in _refusal(stack)
    version.write_text("17\n")
    stack.keelson("up")
    assert stack.count("notes", "notes") == 10


@pytest.mark.local
def test_a_stale_pid_file_is_no_hindrance(stack: StackUnderTest) -> None:
    stack.keelson("up")
    data = stack.home / "data/keelson/stacks" / stack.key / "main/pgdata"
    kept = shutil.copy(data / "postmaster.pid", stack.home / "kept")
    stack.keelson("stop")
    shutil.move(kept, data / "postmaster.pid")
    stack.keelson("up")
    assert stack.count("notes", "notes") == 10


def test_a_state_directory_that_cannot_be_made_is_named(stack: StackUnderTest) -> None:
    (stack.home / "state").write_text("in the way")
    said = _refusal(stack)
    assert f"cannot make the directory {stack.home / 'state'}" in said
    assert len(said.splitlines()) == 1
    assert Path(stack.home / "state").read_text() == "in the way"
