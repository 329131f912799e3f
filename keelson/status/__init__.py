"""How a stack is: what `keelson status` shows. Nothing here prints."""

from keelson.status.looking import look
from keelson.status.model import (
    BackupStatus,
    CertificateStatus,
    DatabaseStatus,
    PartStatus,
    RedisStatus,
    StackStatus,
)

__all__ = [
    "BackupStatus",
    "CertificateStatus",
    "DatabaseStatus",
    "PartStatus",
    "RedisStatus",
    "StackStatus",
    "look",
]
