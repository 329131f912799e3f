"""Encryption of a backup's files as they pass: what is kept, what opens it, and what a fault leaves. No server."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyrage
import pytest
from pyrage import x25519

from keelson.backups.folder import Folder, Seal
from keelson.backups.places import Directory
from keelson.backups.sealing import MissingKeyError, Passing
from keelson.errors import BackupError, DamagedError

OWN, PERSON, STRANGER = (x25519.Identity.generate() for _ in range(3))
SEAL = Seal((str(OWN.to_public()), str(PERSON.to_public())), (str(OWN),))
SECRET = b"a row that nobody else may read\n" * 40_000  # more than one block


def written(path: Path, text: bytes = SECRET, seal: Seal = SEAL) -> Folder:
    folder = Folder(path, seal=seal)
    with folder.create("data.dump") as file:
        for at in range(0, len(text), 100_000):
            file.write(text[at : at + 100_000])
    return folder


def read(path: Path, files: Folder, identity: x25519.Identity = OWN) -> bytes:
    again = Folder(path, files.files, seal=Seal(identities=(str(identity),)))
    with again.open("data.dump") as file:
        return b"".join(iter(file.read, b""))


@pytest.mark.parametrize("text", [b"", b"x", SECRET, os.urandom(1 << 21)], ids=["nothing", "a byte", "text", "noise"])
def test_what_is_written_reads_back_with_the_key_of_each_recipient(tmp_path: Path, text: bytes) -> None:
    folder = written(tmp_path, text)
    assert [path.name for path in tmp_path.iterdir()] == ["data.dump.age"]
    assert folder.names == {"data.dump"}
    assert read(tmp_path, folder) == read(tmp_path, folder, PERSON) == text


def test_nothing_of_it_lies_on_the_disk_in_clear_and_age_itself_opens_it(tmp_path: Path) -> None:
    written(tmp_path)
    kept = (tmp_path / "data.dump.age").read_bytes()
    assert kept.startswith(b"age-encryption.org/v1\n")
    assert SECRET[:20] not in kept
    assert pyrage.decrypt(kept, [PERSON]) == SECRET


def test_without_recipients_it_is_kept_as_it_is(tmp_path: Path) -> None:
    folder = written(tmp_path, seal=Seal())
    assert (tmp_path / "data.dump").read_bytes() == SECRET == read(tmp_path, folder)


def test_another_key_opens_nothing_and_is_no_damage(tmp_path: Path) -> None:
    folder = written(tmp_path)
    with pytest.raises(
        MissingKeyError, match=r"data.dump.age is encrypted, and no key of this stack opens it; give .* --identity FILE"
    ):
        read(tmp_path, folder, STRANGER)


@pytest.mark.parametrize("at", [0, 30, 150, 70_000, -1])
def test_a_flipped_byte_is_told_apart(tmp_path: Path, at: int) -> None:
    folder = written(tmp_path)
    data = bytearray((tmp_path / "data.dump.age").read_bytes())
    data[at] ^= 1
    (tmp_path / "data.dump.age").write_bytes(data)
    with pytest.raises(DamagedError, match="its SHA-256 is not the manifest's"):
        read(tmp_path, folder)


def test_a_file_that_was_cut_or_replaced_with_its_manifest_does_not_open(tmp_path: Path) -> None:
    """Whoever can write there writes sizes and hashes anew; age's own digests remain."""
    folder = written(tmp_path)
    data = (tmp_path / "data.dump.age").read_bytes()
    for other in (data[:-1], data[: len(data) // 2], data[:-70_000], b"", b"rubbish"):
        forged = tmp_path / f"forged{len(other)}"
        forged.mkdir()
        facts = written(forged, other, Seal()).files["data.dump"]
        (forged / "data.dump").rename(forged / "data.dump.age")
        folder.files["data.dump.age"] = facts
        with pytest.raises(DamagedError, match="age cannot decrypt it"):
            read(forged, folder)


def test_a_reader_that_stops_early_or_fails_leaves_no_thread_and_the_hash_is_compared_all_the_same(
    tmp_path: Path,
) -> None:
    folder = written(tmp_path)
    opened = Folder(tmp_path, folder.files, seal=SEAL)
    with opened.open("data.dump") as file:
        assert file.read(10) == SECRET[:10]
    with pytest.raises(ZeroDivisionError), opened.open("data.dump") as file:
        _ = file.read(10)[0] // 0
    folder.files["data.dump.age"] = type(folder.facts("data.dump"))("0" * 64, folder.facts("data.dump").bytes)
    with pytest.raises(DamagedError), Folder(tmp_path, folder.files, seal=SEAL).open("data.dump") as file:
        file.read(10)


class FullDisk(Directory):
    """A directory whose disk is full after a megabyte."""

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        with super().create(name) as file:
            yield Full(file)  # type: ignore[misc]


class Full(io.RawIOBase):
    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left = file, 1 << 20

    def write(self, block: bytes) -> int:  # type: ignore[override]
        self._left -= len(block)
        if self._left < 0:
            raise OSError(28, "No space left on device")
        return self._file.write(block)


def test_a_full_disk_is_told_as_it_is_without_encryption(tmp_path: Path) -> None:
    folder = Folder(FullDisk(tmp_path), seal=SEAL)
    with (
        pytest.raises(BackupError, match=r"cannot write data.dump.age .* No space left on device; make room"),
        folder.create("data.dump") as file,
    ):
        _fill(file)


def _fill(file: Passing) -> None:
    for _ in range(100):
        file.write(os.urandom(1 << 20))


PROGRAM = """
import pathlib, resource, sys
from keelson.backups.folder import Folder, Seal
path, recipient, identity = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
folder, block = Folder(path, seal=Seal((recipient,), (identity,))), bytes(range(256)) * 4096
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
with folder.create("data.dump") as file:
    for _ in range(300): file.write(block)
with folder.open("data.dump") as file:
    while file.read(): pass
print(peak() - before)
"""


def test_files_of_any_size_pass_in_little_memory(tmp_path: Path) -> None:
    arguments = [str(tmp_path), str(OWN.to_public()), str(OWN)]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    assert (tmp_path / "data.dump.age").stat().st_size > 300 << 20
    assert int(done.stdout) < 30  # MB, of 300
