"""What is known of a stack at one moment. `fault` is a sentence where something is not as it should be, else empty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from keelson.target import Certificate

State = Literal["answers", "degraded", "starting", "does not answer", "down", "missing", "unknown"]


@dataclass(frozen=True)
class PartStatus:
    """A server, Redis, pgAdmin or the agent."""

    name: str
    kind: str
    state: State
    port: int | None = None
    detail: str = ""

    @property
    def well(self) -> bool:
        """Whether it answers and lacks nothing, or was started a moment ago."""
        return self.state in {"answers", "starting"}

    @property
    def answers(self) -> bool:
        """Whether it answers, degraded or not."""
        return self.state in {"answers", "degraded"}

    @property
    def fault(self) -> str:
        """What is wrong with it; of parts of which nothing is known, why."""
        if self.state == "unknown":
            return self.detail
        detail = f": {self.detail}" if self.detail else ""
        return "" if self.well else f"{self.name} is {self.state}{detail}".replace("is does not", "does not")


@dataclass(frozen=True)
class BackupStatus:
    """The backups of one database or Redis.

    Attributes:
        last: when the newest good one was begun; None where there is none.
        bytes: how much that one takes.
        due: when the next one is due; None where no job makes any.
        fault: that the last run failed, or that one is overdue.
    """

    last: datetime | None = None
    bytes: int = 0
    due: datetime | None = None
    fault: str = ""


@dataclass(frozen=True)
class DrillStatus:
    """The drills of one database's backups.

    Attributes:
        last: when the newest one was made; None where there was none.
        recovery_seconds: how long its restore took; None where there was none.
        due: when the next one is due; None where no job makes any.
        fault: that the last one found something or could not be made, or that one is overdue.
    """

    last: datetime | None = None
    recovery_seconds: float | None = None
    due: datetime | None = None
    fault: str = ""


@dataclass(frozen=True)
class DatabaseStatus:
    """One database; its figures are None where it could not be asked."""

    name: str
    server: str
    version: int | None = None
    pending: tuple[str, ...] = ()
    size: int | None = None  # bytes
    connections: int | None = None
    cache_hit_ratio: float | None = None
    backup: BackupStatus = BackupStatus()
    drill: DrillStatus = DrillStatus()
    fault: str = ""

    @property
    def well(self) -> bool:
        """Whether it answers, all its migrations are applied, its backups are in time, and they were proven."""
        return not (self.fault or self.pending or self.backup.fault or self.drill.fault)

    @property
    def faults(self) -> Iterator[str]:
        """All that is wrong with it."""
        if self.fault:
            yield self.fault
        if self.pending:
            many = f"{len(self.pending)} migrations are" if len(self.pending) > 1 else "1 migration is"
            yield f"{self.name}: {many} pending ({', '.join(self.pending)}); run `keelson up`"
        yield from filter(None, (self.backup.fault, self.drill.fault))


@dataclass(frozen=True)
class RedisStatus:
    """One Redis; its figures are None where it could not be asked."""

    name: str
    memory: int | None = None  # bytes
    max_memory: int | None = None
    keys: int | None = None
    evicted: int | None = None
    clients: int | None = None
    backup: BackupStatus = BackupStatus()
    fault: str = ""

    @property
    def well(self) -> bool:
        """Whether it answers, can save its data, and its backups are in time."""
        return not (self.fault or self.backup.fault)

    @property
    def faults(self) -> Iterator[str]:
        """All that is wrong with it."""
        yield from filter(None, (self.fault, self.backup.fault))


@dataclass(frozen=True)
class ArchiveStatus:
    """The archive of a server, from which it is restored as it was at any moment.

    Attributes:
        server: whose it is.
        backed_up: when the newest backup was begun; None where there is none.
        archived: when a part of the log was archived last.
        waiting_bytes: how much of the log waits for the archive; None where the server does not say.
        exposed_seconds: how many seconds of work a loss of the server would cost now, at most; None likewise.
        fault: that it is stuck or missing, that something was dropped, that a backup or drill failed, or that one is overdue.
        drilled: when it was drilled last; None where it never was.
        recovery_seconds: how long it took then until a server was there; None likewise.
    """

    server: str
    backed_up: datetime | None = None
    archived: datetime | None = None
    waiting_bytes: int | None = None
    exposed_seconds: float | None = None
    fault: str = ""
    drilled: datetime | None = None
    recovery_seconds: float | None = None


@dataclass(frozen=True)
class CertificateStatus:
    """A server's certificate, or the authority's; below a third of its life the next `up` makes it anew."""

    server: str
    expires: datetime
    ends_soon: bool
    fault: str = ""

    @classmethod
    def of(cls, found: Certificate, now: datetime) -> CertificateStatus:
        """Return how a certificate is at a moment."""
        told = f"the certificate of {found.server} ended on {found.expires:%Y-%m-%d}; run `keelson up`"
        return cls(found.server, found.expires, found.due_for_renewal(now), told if found.expires <= now else "")

    @property
    def warning(self) -> str:
        """What is to be done soon; nothing where it is a fault already."""
        if self.fault or not self.ends_soon:
            return ""
        return (
            f"the certificate of {self.server} ends on {self.expires:%Y-%m-%d}, with less than a third of its life left;"
            " run `keelson up`"
        )


@dataclass(frozen=True)
class StackStatus:
    """A whole stack."""

    stack: str
    environment: str
    target: str
    at: datetime
    parts: tuple[PartStatus, ...] = ()
    databases: tuple[DatabaseStatus, ...] = ()
    redis: tuple[RedisStatus, ...] = ()
    certificates: tuple[CertificateStatus, ...] = ()
    archives: tuple[ArchiveStatus, ...] = ()
    backups: str = ""  # the directory
    further_faults: tuple[str, ...] = field(default=(), repr=False)

    @property
    def faults(self) -> tuple[str, ...]:
        """All that is not as it should be, one sentence each; what a server that is down explains is said once."""
        found = [part.fault for part in self.parts if part.fault]
        found += [fault for database in self.databases for fault in database.faults]
        found += [fault for redis in self.redis for fault in redis.faults]
        found += [archive.fault for archive in self.archives if archive.fault]
        found += [certificate.fault for certificate in self.certificates if certificate.fault]
        return tuple(dict.fromkeys([*found, *self.further_faults]))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be done soon, and is no fault yet."""
        return tuple(certificate.warning for certificate in self.certificates if certificate.warning)

    @property
    def well(self) -> bool:
        """Whether all is as it should be, and nothing is to be done soon."""
        return not (self.faults or self.warnings)

    def as_json(self) -> dict[str, Any]:
        """Return all of it with stable keys."""
        parts = [asdict(part) | {"well": part.well, "answering": part.answers} for part in self.parts]
        return {
            "well": self.well,
            "stack": self.stack,
            "environment": self.environment,
            "target": self.target,
            "at": self.at.isoformat(),
            "faults": list(self.faults),
            "warnings": list(self.warnings),
            "parts": parts,
            "databases": [asdict(each) | {"well": each.well} for each in self.databases],
            "redis": [asdict(each) | {"well": each.well} for each in self.redis],
            "certificates": [asdict(each) for each in self.certificates],
            "archives": [asdict(each) for each in self.archives],
            "backups": self.backups,
        }
