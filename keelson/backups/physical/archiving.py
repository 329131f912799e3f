"""What a server is told of its archive, and where that lies: plain values, for whoever sets a server up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from keelson import paths
from keelson.errors import SettingsError
from keelson.local.registry import KEY, new_password

FOLDER = "archiving"  # in a server's own directory: the engine's configuration, and what waits to be sent
DROPPED = "dropped"  # in it, where the engine notes when it dropped which file of the log, as too many waited
ARCHIVE = PurePosixPath("/archive")  # the repository, as the server sees it
PASSPHRASE = "archive"  # noqa: S105 - the name under which a platform's state keeps the one that the settings chose
PHYSICAL = "physical"  # no stack's key: that has a dash


@dataclass(frozen=True)
class Layout:
    """Where programs see a server and its archive.

    Attributes:
        data: below it the server's files, `pgdata`, and what waits to be sent.
        told: where the engine's configuration and scripts lie.
        archive: the repository; with `by_cluster` the directory of all of the server's, each named as its database cluster.
        by_cluster: whether the programs find out which of them it is: where they are told before there are data.
        sockets: where the server's socket lies; empty where libpq's variables lead to it.
    """

    data: str = "/data"
    told: str = f"/data/{FOLDER}"
    archive: str = str(ARCHIVE)
    by_cluster: bool = False
    sockets: str = ""

    @property
    def pgdata(self) -> str:
        """The server's files."""
        return f"{self.data}/pgdata"

    @property
    def work(self) -> str:
        """What the engine writes beside them."""
        return f"{self.data}/{FOLDER}"


IN_SANDBOX = Layout()


@dataclass(frozen=True)
class Archiving:
    """What the settings say of a server's archive.

    Attributes:
        directory: below which repositories lie; empty for the user's data directory.
        keep_full: how many full backups are kept, each with all that was archived since.
        waiting: bytes of log that may wait for the repository before they are dropped.
    """

    directory: str = ""
    keep_full: int = 2
    waiting: int = 4 * 2**30

    def repositories(self, key: str, server: str) -> Path:
        """Return the directory with the repositories of a server: one for each database cluster that it ever was."""
        base = Path(self.directory) if self.directory else paths.data() / "backups"
        return base / PHYSICAL / key / server

    def values(self) -> dict[str, Any]:
        """Return what the registry keeps."""
        return asdict(self)


def archiving_of(values: Mapping[str, Any] | None) -> Archiving | None:
    """Return what the registry or a resource kept; None where a server has no archive."""
    if not values:
        return None
    known = {name: values[name] for name in Archiving.__dataclass_fields__ if name in values}
    kept = Archiving(**known)
    return Archiving(str(kept.directory), int(kept.keep_full), int(kept.waiting))


def ensure_passphrase(key: str, server: str, chosen: str = "") -> str:
    """Return the passphrase of a server's repositories: the chosen one, else what is kept, else a new one.

    It outlives the stack as its backups do, which nobody could read without it.

    Raises:
        SettingsError: another one is kept, by which there may be backups.
    """
    file = _file(key, server)
    kept = _read(file)
    if kept and chosen and chosen != kept:
        msg = (
            f"the archive of {server} is encrypted with another passphrase than the settings say; put the old one back, or keep its "
            f"backups and take {file} away to begin anew with the new one"
        )
        raise SettingsError(msg)
    if kept:
        return kept
    paths.private_directory(file.parent)
    paths.write_private(file, (made := chosen or new_password()) + "\n")
    return made


def passphrase(key: str, server: str) -> str:
    """Return the passphrase of a server's repositories; raises SettingsError."""
    if kept := _read(_file(key, server)):
        return kept
    msg = f"this machine has no passphrase of the archive of {server} ({_file(key, server)}); put the file back, or run `keelson up`"
    raise SettingsError(msg)


def keys(key: str) -> Path:
    """Return the directory of a stack's passphrases."""
    if not KEY.fullmatch(key):
        msg = f"the stack key {key!r} cannot name a directory"
        raise SettingsError(msg)
    return paths.data() / "keys" / key


def _file(key: str, server: str) -> Path:
    return keys(key) / f"{server}.passphrase"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except OSError as fault:
        msg = f"cannot read {file}: {fault.strerror}; give its owner back the right to read it"
        raise SettingsError(msg) from None
