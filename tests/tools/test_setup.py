from __future__ import annotations

import subprocess

from tools.machine.places import PROJECT


def test_a_second_set_up_finds_everything_in_place_and_changes_nothing():
    def state():
        return {file: file.stat().st_mtime_ns for file in (PROJECT / ".keelson").glob("*") if file.is_file()}

    subprocess.run([PROJECT / "tools" / "setup"], check=True, capture_output=True)
    before = state()
    again = subprocess.run([PROJECT / "tools" / "setup"], check=True, capture_output=True, text=True)
    assert again.stdout.startswith("==> this machine is set up")
    assert state() == before


def test_what_set_up_makes_in_the_checkout_is_ignored_by_git():
    made = [".venv/x", ".keelson/env", ".keelson/path", ".keelson/logs/venv.log"]
    ignored = subprocess.run(["git", "check-ignore", *made], cwd=PROJECT, check=False, capture_output=True, text=True)
    assert ignored.stdout.split() == made


def test_the_lock_file_names_no_package_index():
    assert "://" not in (PROJECT / "requirements.lock").read_text()
