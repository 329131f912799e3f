"""File trees as tar archives, streamed: the same tree gives the same bytes on every machine.

Owners are given, times are zero, and modes are 0755 or 0644, so that nothing of the machine that makes an image is in it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PIECE = 1 << 20  # bytes read at once
_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


@dataclass(frozen=True)
class Member:
    """One file, directory or link of an archive; its place has no slash in front."""

    place: str
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    kind: bytes = tarfile.REGTYPE
    content: bytes | Path = b""
    target: str = ""  # of a link

    def __post_init__(self) -> None:
        assert not self.place.startswith("/")  # noqa: S101  # a slip of the caller's, not the user's


def directory(place: str, *, uid: int = 0, gid: int = 0, mode: int = 0o755) -> Member:
    """Return a directory."""
    return Member(place, mode, uid, gid, tarfile.DIRTYPE)


def link(place: str, target: str) -> Member:
    """Return a symbolic link."""
    return Member(place, 0o777, kind=tarfile.SYMTYPE, target=target)


def tree(
    source: Path, place: str = "", *, without: Collection[str] = (), names_without: Collection[str] = ()
) -> Iterator[Member]:
    """Return all that lies below `source`, to stand below `place` and belong to root; sorted by name.

    Args:
        source: a directory.
        place: where it will stand; the root by default.
        without: paths below `source` that stay out.
        names_without: names of what stays out wherever it is.
    """
    prefix = f"{place}/" if place else ""
    if place:
        yield directory(place)
    for folder, folders, files in os.walk(source):
        here = Path(folder).relative_to(source)
        kept = [name for name in (*folders, *files) if name not in names_without and str(here / name) not in without]
        for name in sorted(kept):
            yield _found(Path(folder, name), f"{prefix}{here / name}")
        folders[:] = sorted(name for name in folders if name in kept and not Path(folder, name).is_symlink())


def _found(path: Path, place: str) -> Member:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return link(place, str(path.readlink()))
    if stat.S_ISDIR(mode):
        return directory(place)
    return Member(place, 0o755 if mode & _EXECUTABLE else 0o644, content=path)


def stream(members: Iterable[Member], passed: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """Return the archive's bytes, piece by piece; `passed` is told how many have gone."""
    for member in members:
        for piece in _pieces(member):
            yield piece
            passed(len(piece))
    yield bytes(2 * tarfile.BLOCKSIZE)


def digest(members: Iterable[Member]) -> str:
    """Return the digits of a hash of the archive."""
    whole = hashlib.sha256()
    for piece in stream(members):
        whole.update(piece)
    return whole.hexdigest()


def _pieces(member: Member) -> Iterator[bytes]:
    head = tarfile.TarInfo(member.place)
    head.mode, head.uid, head.gid, head.type, head.linkname = (
        member.mode,
        member.uid,
        member.gid,
        member.kind,
        member.target,
    )
    if isinstance(member.content, bytes):
        head.size = len(member.content)
        yield head.tobuf(tarfile.PAX_FORMAT) + _padded(member.content)
        return
    with member.content.open("rb") as file:
        left = head.size = os.fstat(file.fileno()).st_size
        yield head.tobuf(tarfile.PAX_FORMAT)
        while left:
            piece = file.read(min(_PIECE, left))
            left -= len(piece)
            if not piece:
                msg = f"{member.content} was cut while it was read"
                raise OSError(msg)
            yield piece if left else _padded(piece)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % tarfile.BLOCKSIZE)
