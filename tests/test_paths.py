"""Files and directories that only their user may read."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from keelson import paths
from keelson.errors import PlatformError


def test_a_private_directory_and_what_it_lies_in_are_the_users_alone(tmp_path: Path) -> None:
    made = paths.private_directory(tmp_path / "a" / "b")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700


def test_a_directory_of_another_user_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can make a directory of another user")
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o777)
    os.chown(theirs, 65534, 65534)
    with pytest.raises(PlatformError, match="belongs to another user"):
        paths.private_directory(theirs)
    assert theirs.stat().st_uid == 65534


def test_a_link_in_the_place_of_a_private_directory_is_followed_to_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    paths.private_directory(tmp_path / "link")
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o700


@pytest.fixture
def small_disk(tmp_path: Path):
    if os.geteuid():
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(small_disk: Path) -> None:
    paths.write_private(small_disk / "kept", "old")
    with pytest.raises(PlatformError, match=r"cannot write .*kept: No space left on device"):
        paths.write_private(small_disk / "kept", "x" * 200_000)
    assert [(path.name, path.read_text()) for path in small_disk.iterdir()] == [("kept", "old")]
