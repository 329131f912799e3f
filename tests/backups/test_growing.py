"""Files that are read back while they are written."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyrage import x25519

from keelson.backups.folder import Folder, Growing, Seal
from keelson.errors import BackupError, DamagedError

KEY = x25519.Identity.generate()
SEALS = {"clear": Seal(), "encrypted": Seal((str(KEY.to_public()),), (str(KEY),))}
BLOCK = bytes(range(256)) * (4 << 12)  # 4 MiB, more than any buffer on the way
SECONDS = 20.0


def read(file: Growing, seen: threading.Event) -> int:
    """Read all of it, and say when the first bytes are there; return how many there were."""
    found = 0
    with file.read_back() as stream:
        while block := stream.read():
            found += len(block)
            seen.set()
    return found


@pytest.mark.parametrize("seal", SEALS)
def test_what_is_written_is_read_before_the_rest_is_there(seal: str, tmp_path: Path) -> None:
    folder, seen = Folder(tmp_path, seal=SEALS[seal]), threading.Event()
    file = folder.growing("data.dump")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read, file, seen)
        with file.written() as stream:
            stream.write(BLOCK)
            assert seen.wait(SECONDS)
            assert not reading.done()
            stream.write(b"the rest")
        assert reading.result(SECONDS) == len(BLOCK) + len(b"the rest")


@pytest.mark.parametrize("seal", SEALS)
def test_what_the_writing_failed_with_ends_the_reading(seal: str, tmp_path: Path) -> None:
    folder, seen = Folder(tmp_path, seal=SEALS[seal]), threading.Event()
    file = folder.growing("data.dump")

    def write() -> None:
        with file.written() as stream:
            stream.write(BLOCK)
            assert seen.wait(SECONDS)
            msg = "pg_dump is gone"
            raise BackupError(msg)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read, file, seen)
        with pytest.raises(BackupError, match="is gone"):
            write()
        with pytest.raises(BackupError, match="is gone"):
            reading.result(SECONDS)


def test_a_file_that_is_cut_while_it_is_written_is_told_apart(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    file = folder.growing("data.dump")
    with ThreadPoolExecutor(1) as pool:
        with file.written() as stream:
            stream.write(BLOCK)
            (tmp_path / "data.dump").write_bytes(BLOCK[:-1])
        reading = pool.submit(read, file, threading.Event())
        with pytest.raises(DamagedError, match="its SHA-256 is not the manifest's"):
            reading.result(SECONDS)
