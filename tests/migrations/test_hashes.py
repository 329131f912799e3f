"""What is kept between runs saves reading, and is never believed where it might be wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keelson.migrations import digest_of, hashes, read_directory
from keelson.migrations.hashes import FEWEST


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "keelson" / "hashes"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "migrations"
    made.mkdir()
    for number in range(1, FEWEST + 1):
        (made / f"{number:03d}_change.sql").write_text(f"SELECT {number:03d}")
    return made


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were written a moment ago are believed, too."""
    monkeypatch.setattr(hashes, "SETTLED", -(10**12))


def forge(cache: Path) -> None:
    """Have the cache say something else than the files."""
    (kept,) = cache.iterdir()
    text = kept.read_text().partition("\n")[2].replace('"change"', '"forged"').replace('"",', '"forged",')
    kept.write_text(f"{hashes._seal(text.encode())}\n{text}")


def descriptions(folder: Path) -> set[str]:
    return {file.description for file in read_directory(folder)}


@pytest.mark.usefixtures("trusting")
def test_files_that_are_as_they_were_are_not_read_again(folder: Path, cache: Path) -> None:
    first = read_directory(folder)
    forge(cache)
    assert descriptions(folder) == {"forged"}
    os.utime(folder / "001_change.sql")
    assert descriptions(folder) == {"forged", "change"}
    assert [file.sha256 for file in read_directory(folder)] == [file.sha256 for file in first]


def test_an_edit_in_the_same_moment_and_of_the_same_size_is_seen(folder: Path, cache: Path) -> None:
    for number in range(100, 130):
        (folder / "001_change.sql").write_text(f"SELECT {number}")
        known = read_directory(folder)[0]
        assert "".join(known.up.text().split()) == f"SELECT{number}"
        assert known.text_sha256 == known.up.facts().text_sha256
    assert digest_of(folder) is None
    assert not cache.exists() or len(list(cache.iterdir())) == 1


@pytest.mark.usefixtures("trusting")
def test_an_edit_that_puts_the_time_back_is_seen(folder: Path) -> None:
    path = folder / "001_change.sql"
    before, times = read_directory(folder)[0], path.stat()
    path.write_text("SELECT 999")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = read_directory(folder)[0]
    assert after.sha256 == after.up.facts().sha256 != before.sha256


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("damage", ["", "garbage", "cut", "another version", "one letter"])
def test_what_is_damaged_is_ignored_and_written_anew(folder: Path, cache: Path, damage: str) -> None:
    read_directory(folder)
    (kept,) = cache.iterdir()
    good = kept.read_text()
    bad = {
        "cut": good[:-100],
        "another version": "0" * 32 + good[32:],
        "one letter": good.replace("change", "chance", 1),
    }
    kept.write_text(bad.get(damage, damage))
    assert descriptions(folder) == {"change"}
    assert kept.read_text() == good


@pytest.mark.usefixtures("trusting")
def test_a_file_that_goes_is_forgotten(folder: Path, cache: Path) -> None:
    (folder / "zzz").mkdir()
    (folder / "zzz").rmdir()
    (folder / "101_more.sql").write_text("SELECT 101")
    read_directory(folder)
    (folder / "101_more.sql").unlink()
    assert digest_of(folder)
    read_directory(folder)
    assert "101_more" not in next(cache.iterdir()).read_text()


@pytest.mark.usefixtures("trusting")
def test_few_files_leave_no_trace(tmp_path: Path, cache: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    (few / "1.sql").write_text("SELECT 1")
    read_directory(few)
    assert not cache.exists()
    assert digest_of(few) is None


@pytest.mark.usefixtures("trusting")
def test_without_a_place_to_write_files_are_read_each_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert descriptions(folder) == {"change"}
    assert digest_of(folder) is None


@pytest.mark.usefixtures("trusting")
def test_a_digest_stands_for_files_that_are_right(folder: Path) -> None:
    read_directory(folder)
    digest = digest_of(folder)
    assert digest
    undo = folder / "001_change.down.sql"
    undo.write_text("SELECT 1")
    assert digest_of(folder) == digest
    undo.rename(folder / "999_gone.down.sql")
    assert digest_of(folder) is None, "an undo without its migration is looked at"
    (folder / "999_gone.down.sql").unlink()
    (folder / "no number.sql").write_text("SELECT 1")
    assert digest_of(folder) is None
