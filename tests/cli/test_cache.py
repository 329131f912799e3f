from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keelson.cli.application import application

RUNNER = CliRunner()


class Caches:
    """The caches under a directory of their own."""

    def __init__(self, folder: Path):
        self.folder = folder

    def make(self, name: str, age: int = 0) -> Path:
        """Make a version of 1 MB that is `age` days old."""
        path = self.folder / name
        (path / "bin").mkdir(parents=True)
        (path / "bin" / "file").write_bytes(bytes(1_000_000))
        os.utime(path, (1_800_000_000 - age * 86400,) * 2)
        return path

    def names(self) -> set[str]:
        return {f"{part.parent.name}/{part.name}" for part in self.folder.glob("*/*") if part.is_dir()}


@pytest.fixture
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return Caches(tmp_path / "keelson")


def cache(*arguments: str) -> str:
    done = RUNNER.invoke(application, ["cache", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_without_caches_there_is_nothing_to_list_or_to_remove(caches):
    assert not caches.folder.exists()
    cache("list")
    assert "0 MB" in cache("prune", "--budget", "0")


def test_a_budget_that_holds_everything_removes_nothing_whole(caches):
    caches.make("root/old", age=2)
    caches.make("root/new")
    cache("prune", "--budget", "2")
    assert caches.names() == {"root/old", "root/new"}


def test_old_versions_go_oldest_first_until_the_rest_fits(caches):
    for age in range(4):
        caches.make(f"engine/v{age}", age)
    cache("prune", "--budget", "2")
    assert caches.names() == {"engine/v0", "engine/v1"}


def test_the_newest_of_each_cache_stays_whatever_the_budget(caches):
    for name in ("engine/a", "root/a", "uv/a"):
        caches.make(name, age=9)
        caches.make(f"{name}b")
    cache("prune", "--budget", "0")
    assert caches.names() == {"engine/ab", "root/ab", "uv/ab"}


def test_the_root_that_is_current_stays_though_a_newer_one_is_there(caches):
    caches.make("root/older", age=3)
    caches.make("root/used", age=2)
    caches.make("root/newer")
    (caches.folder / "root" / "current").symlink_to("used")
    assert "current" not in cache("list")
    cache("prune", "--budget", "0")
    assert caches.names() == {"root/used", "root/newer", "root/current"}
    assert (caches.folder / "root" / "current" / "bin").is_dir()


def test_the_engine_of_this_checkout_stays(caches, monkeypatch, tmp_path):
    chosen = caches.make("engine/chosen", age=2)
    caches.make("engine/newer")
    (tmp_path / "link").symlink_to(chosen / "bin")
    monkeypatch.setattr("keelson.cli.cache.CHOSEN_ENGINE", tmp_path / "link")
    cache("prune", "--budget", "0")
    assert caches.names() == {"engine/chosen", "engine/newer"}


def test_a_version_that_a_process_runs_from_stays(caches):
    running = caches.make("root/running", age=2)
    caches.make("root/newer")
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", f"{running}/bin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        cache("prune", "--budget", "0")
        process.stdin.close()
    assert caches.names() == {"root/running", "root/newer"}


def test_what_is_half_made_is_no_version_and_goes_within_any_budget(caches):
    caches.make("engine/v1", age=2)
    caches.make("engine/.v2.part")
    caches.make("engine/.go-1.26.0")
    assert cache("list").count("half made") == 2
    cache("prune")
    assert caches.names() == {"engine/v1"}


def test_a_cache_on_which_a_set_up_is_at_work_is_left_alone(caches):
    caches.make("root/old", age=2)
    caches.make("root/.new.part")
    caches.make("root/new")
    caches.make("uv/.half")
    with (caches.folder / "root" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "a set-up is at work" in cache("prune", "--budget", "0")
    assert caches.names() == {"root/old", "root/.new.part", "root/new"}


def test_a_removal_that_was_cut_off_is_finished_by_the_next(caches, monkeypatch):
    caches.make("root/old", age=2)
    caches.make("root/new")

    def interrupt(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr("shutil.rmtree", interrupt)
        RUNNER.invoke(application, ["cache", "prune", "--budget", "0"])
    assert caches.names() == {"root/.old.old", "root/new"}
    cache("prune")
    assert caches.names() == {"root/new"}
