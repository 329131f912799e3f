"""Backup jobs for the agent: the same on every target that has one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from pulumi import Output, ResourceOptions

from components.targets import Backups, Drills
from keelson.backups.terms import Terms
from keelson.settings.backup import BackupSettings
from providers.backup_job import BackupJob
from providers.drill_job import DrillJob

# Settings that reach a job in another form, or not at all.
OTHERWISE = {"directory", "drill", "recipients", "bucket", "spread_minutes", "window_hours", "webhook", "ping"}


def backup_job(backups: Backups, opts: ResourceOptions, marks: Mapping[str, Output[str]]) -> BackupJob:
    """Make BackupJob <name>-backup, which the agent runs."""
    inputs = {
        "reference": backups.reference.as_input(),
        "name": backups.name,
        "engine": backups.engine,
        **backups.settings.model_dump(mode="json", exclude=OTHERWISE, exclude_none=True),
        "directory": str(backups.settings.directory or ""),
        **({"terms": asdict(backups.settings.terms)} if backups.settings.terms != Terms() else {}),
        **({"orders": orders} if (orders := backups.settings.orders) else {}),
        **_secret(backups.settings),
        **marks,
    }
    return BackupJob(f"{backups.name}-backup", inputs, opts)


def _secret(settings: BackupSettings) -> dict[str, Output[str]]:
    if not settings.bucket or not settings.bucket.secret_key:
        return {}
    return {"bucket_secret": Output.secret(settings.bucket.secret_key.get_secret_value())}


def drill_job(drills: Drills, opts: ResourceOptions, marks: Mapping[str, Output[str]]) -> DrillJob:
    """Make DrillJob <name>-drill, which the agent runs."""
    inputs = {
        "reference": drills.reference.as_input(),
        "name": drills.name,
        "schedule": drills.schedule,
        "time_zone": drills.settings.time_zone,
        "checks": drills.checks,
        "directory": str(drills.settings.directory or ""),
        **({"orders": orders} if (orders := drills.settings.orders) else {}),
        **marks,
    }
    return DrillJob(f"{drills.name}-drill", inputs, opts)
