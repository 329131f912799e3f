"""What a stack file says of servers with several instances, and what their operator could not hold to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from keelson.settings.model import Settings

if TYPE_CHECKING:
    from keelson.settings.stack import StackSettings

OPERATOR_VERSION = "1.30.0"
PUBLISHED = f"https://github.com/cloudnative-pg/cloudnative-pg/releases/download/v{OPERATOR_VERSION}/cnpg-{OPERATOR_VERSION}.yaml"
PUBLISHED_SHA256 = "f8bede43fe4ee0d478c2355b204a36876b2ae4faac60f2a9452280b293da3b88"
USUAL_MAX_WAL_SIZE = "512MB"  # where nobody sets it
MOST_OF_WAL_VOLUME = 0.7  # that max_wal_size may be: replicas that lag and archives that fail keep more than it says
_VERSIONED = re.compile(r"[^@]+:\d+\.\d+[^@/:]*(@sha256:[0-9a-f]{64})?")
_SIZE = re.compile(r"(\d+)\s*(kB|MB|GB|TB)?")
_UNITS = {"kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40, None: 2**20}  # of max_wal_size
_OPERATORS = re.compile(
    r"hot_standby|primary_(conninfo|slot_name)|recovery_.*|restore_command|restart_after_crash|shared_preload_libraries"
    r"|ssl_(?!min_protocol_version).*|syn(chronous_standby_names|chronized_standby_slots)|log_(directory|file.*|rotation.*|truncate_on_rotation)|syslog_.*"
    r"|temp_tablespaces|unix_socket_.*|allow_system_table_mods|bonjour.*|data_sync_retry|event_source|jit_provider"
    r"|archive_cleanup_command|promote_trigger_file|stats_temp_directory"
)  # beside those that are the platform's own everywhere


class OperatorSettings(Settings):
    """CloudNativePG: whether the stack installs it where the cluster has none, and from what."""

    install: bool = False
    manifest: Annotated[str, Field(pattern=r"^(https://|/)\S+$")] = PUBLISHED  # an address, or a file of this machine
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = (
        None  # of the manifest; None: not compared, but for the usual one
    )
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] = "cnpg-system"  # where it runs

    @property
    def digest(self) -> str:
        """What the manifest's SHA-256 must be; nothing where nobody knows."""
        return self.sha256 or (PUBLISHED_SHA256 if self.manifest == PUBLISHED else "")


def faults(settings: StackSettings) -> Iterator[str]:
    """Give a sentence for each setting of a server with several instances that cannot be."""
    for name in settings.servers:
        instances = settings.instances_of(name)
        if instances > 1:
            yield from _of_server(settings, name, instances)
        elif settings.servers[name].wal_storage or settings.servers[name].synchronous is not None:
            yield f"'wal_storage' and 'synchronous' of {name} are for several instances; set 'ha' of it too, or take them out"


def _of_server(settings: StackSettings, name: str, instances: int) -> Iterator[str]:
    if settings.synchronous_of(name) >= instances:
        yield (
            f"'synchronous' of {name} is {settings.synchronous_of(name)}, and beside the first it has {instances - 1} instances; "
            "lower it, or raise 'instances'"
        )
    if (image := settings.kubernetes.image.get("postgres-ha")) and not _VERSIONED.fullmatch(image.reference):
        yield (
            f"the setting 'keelson:kubernetes.image.postgres-ha' names {image.reference}, whose tag does not begin with PostgreSQL's "
            "version, by which the operator knows it; name it such as postgres:17.12@sha256:…"
        )
    for parameter in settings.parameters_of(name):
        if _OPERATORS.fullmatch(parameter.lower()):
            yield f"the parameter {parameter} of {name} is the operator's own where a server has several instances; take it out"
    size = settings.parameters_of(name).get("max_wal_size", USUAL_MAX_WAL_SIZE)
    if (found := _SIZE.fullmatch(size)) and int(found[1]) * _UNITS[
        found[2]
    ] > MOST_OF_WAL_VOLUME * settings.wal_bytes_of(name):
        yield (
            f"max_wal_size of {name} is {size}, which the volume of its log ({settings.wal_storage_of(name)}) could not hold; "
            "raise 'wal_storage', or lower it"
        )
