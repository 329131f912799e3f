from __future__ import annotations

import os
from pathlib import Path

import pytest

from keelson.errors import PlatformError
from keelson.local import login, stack

COMMAND = ["/opt/a b/keelson", "start", "--stack", "100%"]


@pytest.fixture(autouse=True)
def user(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def systemd(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for systemctl that writes down how it was called."""
    (home / "run/systemd").mkdir(parents=True)
    (home / "bin").mkdir()
    (home / "bin/systemctl").write_text(f'#!/bin/sh\necho "$*" >> {home}/calls\n')
    (home / "bin/systemctl").chmod(0o700)
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    return home / "calls"


def test_without_systemd_a_block_in_profile_comes_and_goes(user: Path) -> None:
    (user / ".profile").write_text("umask 022")
    assert "by a block in" in login.start_at_login("a-dev", COMMAND, user)
    login.start_at_login("a-dev", COMMAND, user)
    login.start_at_login("b-dev", COMMAND, user)
    text = (user / ".profile").read_text()
    assert text.count("'/opt/a b/keelson' start --stack 100%) >/dev/null 2>&1 &\n") == 2
    assert login.undo("a-dev") == "stack a-dev no longer starts at login"
    login.undo("b-dev")
    assert (user / ".profile").read_text() == "umask 022\n"
    assert login.undo("a-dev") == "stack a-dev did not start at login"


def test_a_stack_that_is_removed_starts_at_login_no_longer(user: Path) -> None:
    login.start_at_login("a-dev", COMMAND, user)
    stack.remove("a-dev", stack.register("a-dev", "dev"))
    assert (user / ".profile").read_text() == ""


def test_a_profile_that_is_not_utf_8_is_kept_and_stops_no_removal(user: Path) -> None:
    (user / ".profile").write_bytes(b"echo \xe4\n")
    with pytest.raises(PlatformError, match=r"\.profile is not UTF-8"):
        login.start_at_login("a-dev", COMMAND, user)
    stack.remove("a-dev", stack.register("a-dev", "dev"))
    assert (user / ".profile").read_bytes() == b"echo \xe4\n"


def test_a_profile_that_is_a_link_stays_one(user: Path) -> None:
    (user / "dotfiles").write_text("umask 022\n")
    (user / ".profile").symlink_to("dotfiles")
    login.start_at_login("a-dev", COMMAND, user)
    assert (user / ".profile").is_symlink()
    assert "keelson a-dev" in (user / "dotfiles").read_text()


def test_with_systemd_a_user_unit_comes_and_goes(user: Path, systemd: Path) -> None:
    assert "keelson-a-dev.service" in login.start_at_login("a-dev", COMMAND, user)
    unit = user / "config/systemd/user/keelson-a-dev.service"
    assert 'ExecStart="/opt/a b/keelson" "start" "--stack" "100%%"' in unit.read_text()
    assert f"WorkingDirectory={user}" in unit.read_text()
    login.undo("a-dev")
    assert not unit.exists()
    assert systemd.read_text().splitlines() == [
        "--user daemon-reload", "--user enable keelson-a-dev.service", "--user disable keelson-a-dev.service",
    ]  # fmt: skip
