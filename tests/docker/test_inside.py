"""What the inside of a stack knows without a project and an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from keelson.cli.context import context
from keelson.errors import SettingsError
from keelson.inside import VARIABLE, operations, settings
from keelson.project import find_project
from keelson.settings.stack import Stack
from tests.stack.harness import CHECKOUT

KEY = "keelson-dev"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv(VARIABLE, "1")
    return tmp_path


@pytest.fixture(scope="module")
def stack() -> Stack:
    found = find_project(CHECKOUT).stack("dev")
    passwords = {"passwords": {"auth_app_a": "chosen by the user"}}
    return found.model_copy(update={"settings": found.settings.model_copy(update=passwords)})


def test_the_settings_that_are_written_down_are_those_that_are_read(state: Path, stack: Stack) -> None:
    assert state
    operations.put_settings(KEY, settings.dump(stack))

    found = context("whatever").stack

    assert found.key == KEY
    assert found.databases == stack.databases
    assert found.settings == stack.settings.model_copy(update={"passwords": {}})


def test_the_settings_hold_no_secret_and_no_path_of_the_machine(stack: Stack) -> None:
    text = settings.dump(stack)

    assert "chosen by the user" not in text
    assert str(CHECKOUT) not in text


def test_settings_that_were_never_written_are_told(state: Path) -> None:
    assert state
    with pytest.raises(SettingsError, match="cannot be read inside"):
        context(None)
