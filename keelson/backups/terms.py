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


@dataclass(frozen=True)
class Terms:
    """What the settings say, for all backups of a stack.

    Attributes:
        recipients: whom backups are encrypted to beside the stack itself; nobody where they are kept in clear.
    """

    recipients: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return what the settings of a job say."""
        return cls(recipients=tuple(values.get("recipients", ())))


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
