"""How a stack's backups are kept, as its last update wrote it down in its state: for all who have no settings at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from keelson import paths
from keelson.errors import PlatformError
from keelson.local import registry

FILE = "backup-terms.json"
SECRET = "backup-bucket"  # noqa: S105 - among a stack's passwords, whose names have a server before the slash


@dataclass(frozen=True)
class Bucket:
    """A bucket of S3-compatible storage. The secret of its key stands among the stack's passwords: `<SECRET>/<access_key>`.

    Attributes:
        name: the bucket's own.
        access_key: the name of the key; no secret.
        prefix: before all that is put there.
        endpoint: a URL; empty for AWS.
        region: as requests are signed.
        path_style: whether the bucket stands in the path of a URL, not in its host.
        ca_file: of certificates that are trusted; empty for the system's.
    """

    name: str
    access_key: str
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    path_style: bool = True
    ca_file: str = ""


@dataclass(frozen=True)
class Terms:
    """What the settings say, for all backups of a stack.

    Attributes:
        recipients: whom backups are encrypted to beside the stack itself; nobody where they are kept in clear.
        bucket: where they go; None for a directory.
    """

    recipients: tuple[str, ...] = ()
    bucket: Bucket | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return what the settings of a job say."""
        bucket = values.get("bucket")
        return cls(tuple(values.get("recipients", ())), Bucket(**bucket) if bucket else None)


def read(key: str) -> Terms:
    """Return what was written down, the usual where nothing was; raises PlatformError."""
    path = registry.directory(key) / FILE
    try:
        return Terms.of(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Terms()
    except (OSError, ValueError, TypeError, AttributeError) as fault:
        msg = f"how backups are kept cannot be read from {path} ({fault}); run `keelson up -- --refresh`, which writes it again"
        raise PlatformError(msg) from None


def keep(key: str, terms: Terms) -> None:
    """Write it down, where it is another than before."""
    path = registry.directory(key) / FILE
    if path.exists() or terms != Terms():
        paths.write_private(path, json.dumps(asdict(terms), indent=1) + "\n")
