"""What a stack file must say for servers to be archived on Kubernetes, where CloudNativePG does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from keelson.settings.backup import NEVER

if TYPE_CHECKING:
    from keelson.settings.stack import StackSettings


def faults(settings: StackSettings, servers: Sequence[str]) -> Iterator[str]:
    """Give a sentence for each thing that keeps servers from being archived as the settings ask."""
    given, bucket = settings.point_in_time, settings.backup.bucket
    for name in servers:
        if settings.instances_of(name) == 1:
            yield (
                f"'point_in_time' of {name} is for servers of several instances on kubernetes, as CloudNativePG archives those; set 'ha' of it too, "
                "or `point_in_time: false`"
            )
    if bucket is None:
        yield f"'point_in_time' of {servers[0]} needs a bucket on kubernetes; name it with keelson:backup.bucket"
        return
    if bucket.path_style not in (None, bool(bucket.endpoint)):
        yield (
            "'path_style' of keelson:backup.bucket cannot be chosen with 'point_in_time' on kubernetes: what archives there has the bucket in the path "
            "with an endpoint of your own, and in the host's name with AWS; take it out"
        )
    if given.encryption is None:
        yield (
            f"the archive of {servers[0]} is not encrypted with keys of yours on kubernetes: 'recipients' are for backups of databases; set "
            "keelson:point_in_time.encryption to AES256 or aws:kms, so that the storage encrypts it, to bucket where it does so by itself, or to none"
        )
    if "drill" in given.model_fields_set and given.drill != NEVER:
        yield (
            "'drill' of keelson:point_in_time is for local and docker; take it out for kubernetes, and prove an archive by a restore beside the live server: "
            f"`keelson restore --server {servers[0]} --at latest`"
        )
    for key in ("directory", "passphrase"):
        if getattr(given, key) is not None:
            yield f"'{key}' of keelson:point_in_time is for archives in directories; take it out for kubernetes"
    if given.time_zone != "UTC":
        yield f"'time_zone' of keelson:point_in_time is UTC on kubernetes, as CloudNativePG knows no other; say 'schedule' in it and take {given.time_zone} out"
