"""When something is backed up and how long backups are kept: the stack's defaults, and what one part changes of them."""

from __future__ import annotations

import hashlib
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from keelson.backups.sealing import refuse_recipient
from keelson.backups.terms import Bucket, Terms
from keelson.errors import SettingsError
from keelson.schedule import Schedule
from keelson.settings.model import AbsolutePath, Settings

Days = Annotated[int, Field(ge=1)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/\S*)?$", max_length=500)]
USUAL = "0 2 * * *"
AFTER_BACKUP, WEEKLY, NEVER = "after-backup", "weekly", "never"
WEEK = "0 4 * * 0"  # what weekly means
AWS = "https://s3.amazonaws.com"
SPREAD = 30  # minutes over which those of one cluster are spread that nobody gave a time


class BucketSettings(Settings):
    """A bucket of S3-compatible storage, and the key to it."""

    name: Annotated[str, Field(min_length=3, max_length=63)]
    access_key: Annotated[str, Field(min_length=1)]
    secret_key: SecretStr | None = None  # None: the one that was set before
    prefix: str = ""
    endpoint: Annotated[str, Field(pattern=r"^(https?://[^/\s]+/?)?$")] = ""  # empty: AWS
    region: str = "us-east-1"
    path_style: bool | None = None  # None: with an endpoint of one's own
    ca_file: AbsolutePath | None = None

    @property
    def port(self) -> int:
        """Where the storage answers."""
        return _port(self.endpoint or AWS)

    @property
    def terms(self) -> Bucket:
        """The same for those who have no settings at hand; without the secret."""
        return Bucket(
            name=self.name,
            access_key=self.access_key,
            prefix=self.prefix.strip("/"),
            endpoint=self.endpoint.rstrip("/"),
            region=self.region,
            path_style=bool(self.endpoint) if self.path_style is None else self.path_style,
            ca_file=str(self.ca_file or ""),
        )


class BackupChanges(Settings):
    """What `backup:` of a database.yaml or of a Redis changes; None keeps the stack's default."""

    schedule: str | None = None
    time_zone: str | None = None
    keep_days: Days | None = None
    keep_at_least: Days | None = None
    keep_at_most: Days | None = None
    drill: str | None = None  # of databases alone

    @model_validator(mode="after")
    def _readable(self) -> Self:
        _read(self.schedule or USUAL, self.time_zone or "UTC")
        _read_drill(self.drill, self.time_zone or "UTC")
        return self


class BackupSettings(Settings):
    """The stack's defaults, and where backups go."""

    schedule: str = USUAL
    time_zone: str = "UTC"
    keep_days: Days = 30
    keep_at_least: Days = 3
    keep_at_most: Days | None = None  # None: as many as are made in `keep_days`
    directory: AbsolutePath | None = None  # None: below the user's data directory
    bucket: BucketSettings | None = None  # in place of a directory
    recipients: tuple[str, ...] | None = None  # whom backups are encrypted to; nobody: they are kept in clear
    drill: str | None = None  # five fields, after-backup, weekly or never; None: after each backup in dev, else weekly
    spread_minutes: Annotated[int, Field(ge=0, le=720)] = 0  # over which runs that are due together begin
    window_hours: Annotated[float, Field(gt=0, le=168)] | None = (
        None  # in which a run must begin; None: whenever it can
    )
    webhook: Url | None = None  # is told of each run that failed
    ping: Url | None = None  # is told of each run, as healthchecks.io is; {job} stands for the job's name

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if self.ping and "{job}" not in self.ping:
            msg = f"'ping' ({self.ping}) is the same for all jobs; write {{job}} where their names go, such as https://hc-ping.com/KEY/{{job}}"
            raise ValueError(msg)
        _read(self.schedule, self.time_zone)
        _read_drill(self.drill, self.time_zone)
        if self.keep_at_most and self.keep_at_most < self.keep_at_least:
            msg = f"'keep_at_most' ({self.keep_at_most}) is less than 'keep_at_least' ({self.keep_at_least}); raise it, or take it out"
            raise ValueError(msg)
        for recipient in self.recipients or ():
            refuse_recipient(recipient)
        _ = self.ports_outside  # raises where there is none
        if self.bucket and self.directory:
            msg = "'bucket' and 'directory' exclude each other; take one out"
            raise ValueError(msg)
        if self.bucket and self.recipients is None:
            msg = "'bucket' needs 'recipients', since others can read what lies there; name them, or say `recipients: []` to keep backups in clear"
            raise ValueError(msg)
        return self

    @property
    def orders(self) -> dict[str, str | float]:
        """What an agent is told of when it begins runs, and whom it tells; nothing of what is as usual."""
        every = {
            "spread": self.spread_minutes * 60,
            "window": (self.window_hours or 0) * 3600,
            "webhook": self.webhook or "",
            "ping": self.ping or "",
        }
        return {name: value for name, value in every.items() if value}

    @property
    def ports_outside(self) -> tuple[int, ...]:
        """The ports of what is asked that is not of the stack: a bucket, a webhook, a ping."""
        asked = [self.webhook, self.ping, *([self.bucket.endpoint or AWS] if self.bucket else [])]
        return tuple(sorted({_port(url) for url in asked if url}))

    @property
    def terms(self) -> Terms:
        """How all backups of the stack are kept."""
        return Terms(self.recipients or (), self.bucket.terms if self.bucket else None)

    def drill_schedule(self, environment: str) -> str:
        """Return when backups are drilled, as five fields; nothing where they are not.

        A drill that is due with a backup comes after it: the agent begins jobs that are due together in the order of their names.
        """
        said = self._drilled(environment)
        return {AFTER_BACKUP: self.schedule, WEEKLY: WEEK, NEVER: ""}.get(said, said)

    def is_drilled_weekly(self, environment: str) -> bool:
        """Say whether backups are drilled weekly, at no time that anybody named."""
        return self._drilled(environment) == WEEKLY

    def _drilled(self, environment: str) -> str:
        return self.drill or (AFTER_BACKUP if environment == "dev" else WEEKLY)

    def changed(self, changes: BackupChanges) -> BackupSettings:
        """Return these settings with what one part changes."""
        return self.model_copy(update=changes.model_dump(exclude_none=True))


def spread(name: str, usual: str = USUAL) -> str:
    """Return the usual schedule at a minute that `name` always has, so that the jobs of a stack do not all begin in the same one."""
    minute = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % SPREAD
    return f"{minute} {usual.partition(' ')[2]}"


def _port(url: str) -> int:
    found = urlsplit(url)
    try:
        return found.port or (80 if found.scheme == "http" else 443)
    except ValueError:
        msg = f"{url} has a port that there is not; write a number up to 65535"
        raise ValueError(msg) from None


def _read_drill(drill: str | None, time_zone: str) -> None:
    if drill not in {None, AFTER_BACKUP, WEEKLY, NEVER}:
        try:
            _read(str(drill), time_zone)
        except ValueError as fault:
            msg = f"of drills: {fault}, or {AFTER_BACKUP}, {WEEKLY} or {NEVER}"
            raise ValueError(msg) from None


def _read(schedule: str, time_zone: str) -> None:
    try:
        Schedule(schedule, time_zone)
    except SettingsError as fault:
        raise ValueError(str(fault)) from None
