"""The errors of Keelson, each raised with one sentence that names the thing and the next step.

KeelsonError
├── SettingsError      a key of the stack's settings or of a database.yaml is wrong
├── IdentifierError    a service's or role's name is not allowed
├── PlatformError      this machine lacks something that the target needs
├── EngineError        the Pulumi engine refused or is missing
├── ServerError        a database server does not start, answer or stop as it should
│   └── PortInUseError
├── UnreachableError   no connection to a database could be made
├── OwnershipError     an object belongs to somebody else
├── MigrationError     a migration or seed file is wrong or failed
│   └── LockError      another runner holds the database
├── BackupError        a backup could not be made, read or restored
│   └── DamagedError   a backup is not as it was written
├── AuditError         an audit trail is missing, or cannot be read or written out
└── PrivacyError       a person's rows cannot be told, exported or erased
"""

from __future__ import annotations


class KeelsonError(Exception):
    """Root of all errors that a user may see; its text is the whole message."""


class SettingsError(KeelsonError):
    """A key of the stack's settings or of a database.yaml is wrong."""


class IdentifierError(KeelsonError):
    """A service's or role's name is not allowed."""


class PlatformError(KeelsonError):
    """This machine lacks something that the target needs."""


class EngineError(KeelsonError):
    """The Pulumi engine refused or is missing."""


class ServerError(KeelsonError):
    """A database server does not start, answer or stop as it should."""


class PortInUseError(ServerError):
    """The port that the settings ask for is taken."""


class UnreachableError(KeelsonError):
    """No connection to a database could be made."""


class OwnershipError(KeelsonError):
    """An object belongs to another stack, or to nobody that Keelson knows."""


class MigrationError(KeelsonError):
    """A migration or seed file is wrong, or failed."""


class LockError(MigrationError):
    """Another runner holds the database."""


class BackupError(KeelsonError):
    """A backup could not be made, read or restored."""


class DamagedError(BackupError):
    """A backup is not as it was written."""


class UnfitServerError(BackupError):
    """A server lacks what a backup needs: a version, an extension or an edition."""


class AuditError(KeelsonError):
    """An audit trail is missing, or cannot be read or written out."""


class PrivacyError(KeelsonError):
    """A person's rows cannot be told, exported or erased."""
