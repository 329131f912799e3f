"""Backup jobs for the agent: the same on every target that has one."""

from __future__ import annotations

from collections.abc import Mapping

from pulumi import Output, ResourceOptions

from components.targets import Backups
from providers.backup_job import BackupJob


def backup_job(backups: Backups, opts: ResourceOptions, marks: Mapping[str, Output[str]]) -> BackupJob:
    """Make BackupJob <name>-backup, which the agent runs."""
    inputs = {
        "reference": backups.reference.as_input(),
        "name": backups.name,
        "engine": backups.engine,
        **backups.settings.model_dump(mode="json", exclude={"directory"}),
        "directory": str(backups.settings.directory or ""),
        **marks,
    }
    return BackupJob(f"{backups.name}-backup", inputs, opts)
