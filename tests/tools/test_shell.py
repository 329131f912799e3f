from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.machine import engine, shell

SHELLS = [name for name in ("bash", "dash", "zsh", "sh") if shutil.which(name)]
STATE = ".local/state/keelson/pulumi"


@pytest.fixture(params=SHELLS)
def after_sourcing(request, tmp_path):
    """Return what a shell has in its environment after it has read .keelson/env, twice."""
    shell.ensure()

    def values(**before: str) -> dict[str, str]:
        env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"} | before
        script = f". {shell.FILE}; . {shell.FILE}; env -0"
        done = subprocess.run([request.param, "-euc", script], env=env, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return dict(entry.split("=", 1) for entry in done.stdout.split("\0") if "=" in entry)

    return values


def test_the_engine_and_the_environment_stand_in_front_of_path_once(after_sourcing):
    words = after_sourcing()["PATH"].split(":")
    assert words.count(str(engine.binaries())) == 1
    assert Path(words[0], "keelson").exists()


def test_without_a_backend_it_is_a_directory_of_the_users_own(after_sourcing, tmp_path):
    assert after_sourcing()["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/{STATE}"
    assert (tmp_path / STATE).stat().st_mode & 0o777 == 0o700


def test_the_state_directory_follows_xdg(after_sourcing, tmp_path):
    assert after_sourcing(XDG_STATE_HOME=f"{tmp_path}/s")["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/s/keelson/pulumi"


def test_a_backend_of_the_users_stays(after_sourcing):
    assert after_sourcing(PULUMI_BACKEND_URL="s3://mine")["PULUMI_BACKEND_URL"] == "s3://mine"
    assert "PULUMI_BACKEND_URL" not in after_sourcing(PULUMI_ACCESS_TOKEN="token")


@pytest.mark.parametrize(("current", "kept"), [("https://api.pulumi.com", True), ("", False)])
def test_a_login_stays(after_sourcing, tmp_path, current, kept):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "credentials.json").write_text(f'{{\n    "current": "{current}",\n    "accounts": {{}}\n}}\n')
    assert ("PULUMI_BACKEND_URL" not in after_sourcing(PULUMI_HOME=f"{tmp_path}/home")) is kept


def test_the_published_passphrase_is_set_only_where_there_is_no_other(after_sourcing):
    assert after_sourcing()["PULUMI_CONFIG_PASSPHRASE"] == "keelson"
    assert after_sourcing(PULUMI_CONFIG_PASSPHRASE="")["PULUMI_CONFIG_PASSPHRASE"] == ""
    assert "PULUMI_CONFIG_PASSPHRASE" not in after_sourcing(PULUMI_CONFIG_PASSPHRASE_FILE="/a/file")


def test_the_engine_compares_resources_side_by_side_unless_told_otherwise(after_sourcing):
    assert after_sourcing()["PULUMI_PARALLEL_DIFF"] == "true"
    assert after_sourcing(PULUMI_PARALLEL_DIFF="false")["PULUMI_PARALLEL_DIFF"] == "false"
