"""How a stack is: what `keelson status` shows. Nothing here prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keelson.lazily import exports

if TYPE_CHECKING:
    from keelson.status.looking import look
    from keelson.status.model import (
        ArchiveStatus,
        BackupStatus,
        CertificateStatus,
        DatabaseStatus,
        DrillStatus,
        PartStatus,
        RedisStatus,
        StackStatus,
    )

__all__ = [
    "ArchiveStatus",
    "BackupStatus",
    "CertificateStatus",
    "DatabaseStatus",
    "DrillStatus",
    "PartStatus",
    "RedisStatus",
    "StackStatus",
    "look",
]

__getattr__ = exports(
    __name__,
    {
        "looking": ("look",),
        "model": (
            "ArchiveStatus",
            "BackupStatus",
            "CertificateStatus",
            "DatabaseStatus",
            "DrillStatus",
            "PartStatus",
            "RedisStatus",
            "StackStatus",
        ),
    },
)
