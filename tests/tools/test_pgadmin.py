from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tools.machine import browser, pgadmin


def test_the_lock_file_names_no_package_index_and_holds_a_hash_for_each_package():
    lock = pgadmin.LOCK.read_text()
    assert "://" not in lock
    pinned = [line for line in lock.splitlines() if "==" in line and not line.startswith(" ")]
    assert all(line.endswith("\\") for line in pinned)  # its hashes follow


def test_what_is_left_out_is_not_in_the_lock_file():
    left_out = {line for line in pgadmin.EXCLUDES.read_text().splitlines() if not line.startswith("#")}
    assert left_out
    assert not left_out & {line.partition("==")[0] for line in pgadmin.LOCK.read_text().splitlines()}


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """What set-up leaves, with one file that matters."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/usr/bin/python3")
    (tmp_path / "config.py").write_text("whole")
    (tmp_path / pgadmin.MANIFEST).write_text(json.dumps({"files": {"config.py": 5}}))
    return tmp_path


def test_an_environment_with_all_its_files_is_whole(environment):
    assert pgadmin.whole(environment)


@pytest.mark.parametrize("name", ["config.py", "bin/python", pgadmin.MANIFEST])
def test_an_environment_that_lacks_a_file_is_not_whole(environment, name):
    (environment / name).unlink()
    assert not pgadmin.whole(environment)


def test_an_environment_with_a_cut_file_is_not_whole(environment):
    (environment / "config.py").write_text("cut")
    assert not pgadmin.whole(environment)


def test_pgadmin_imports_in_the_environment_that_set_up_made():
    python = pgadmin.ensure() / "bin" / "python"
    done = subprocess.run(
        [python, "-I", "-c", "import gunicorn, pgadmin4; print('both')"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "both\n"


def test_a_browser_that_the_user_names_is_taken(monkeypatch):
    monkeypatch.setenv("KEELSON_CHROMIUM", "/opt/browser")
    assert browser.find() == "/opt/browser"


def test_without_a_browser_and_without_apt_set_up_says_that_tests_are_skipped(monkeypatch, capsys):
    monkeypatch.delenv("KEELSON_CHROMIUM", raising=False)
    monkeypatch.setattr(browser, "NAMES", ("no-such-browser",))
    monkeypatch.setattr(browser, "_apt", list)
    browser.ensure()
    assert "the tests in a browser are skipped; `apt-get install chromium" in capsys.readouterr().out
