"""The archive of a server of several instances: what its operator's plugin is told, and when it backs up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pulumi_kubernetes as kubernetes
from pulumi import Output, Resource, ResourceOptions

from components.targets.objects import Objects
from keelson.kubernetes import barman, names
from keelson.settings import point_in_time
from keelson.settings.backup import BucketSettings
from keelson.settings.stack import Stack
from providers.kubernetes_archive import KubernetesArchive

Json = dict[str, Any]
Named = Callable[[str, str], Json]


def is_archived(stack: Stack, server: str) -> bool:
    """Say whether a server keeps an archive."""
    return point_in_time.is_archived(stack.settings, server)


def setting(stack: Stack, server: str) -> dict[str, str]:
    """Return what a server's settings say of its archive; nothing where it keeps none."""
    return {"archive": stack.settings.point_in_time.archive} if is_archived(stack, server) else {}


class Archive:
    """What is made for the archive of one server."""

    def __init__(self, stack: Stack, server: str, objects: Objects) -> None:
        self._stack, self._server, self._objects = stack, server, objects
        self._settings = stack.settings.point_in_time

    def store(
        self, named: Named, inside: ResourceOptions, options: ResourceOptions, marks: Mapping[str, Output[str]]
    ) -> list[Resource]:
        """Make KubernetesArchive <server>-archive-key, and CustomResource <server>-archive-store, before the server itself."""
        bucket, name = self._bucket, names.archive(self._server)
        told = {
            "place": self._stack.settings.place,
            "key": self._stack.key,
            "server": self._server,
            "access_key": bucket.access_key,
            "region": bucket.region,
            **({"bucket_secret": Output.secret(bucket.secret_key.get_secret_value())} if bucket.secret_key else {}),
            **marks,
        }
        key = KubernetesArchive(f"{name}-key", told, inside)
        encryption = self._settings.encryption if self._settings.encryption in {"AES256", "aws:kms"} else None
        days = self._settings.keep_full * self._settings.full_every
        spec = barman.store(bucket.terms, self._stack.key, self._server, encryption=encryption or "", days=days)
        made = self._objects.make(
            kubernetes.apiextensions.CustomResource,
            f"{name}-store",
            **barman.STORED,
            metadata=named(name, self._server),
            spec=spec,
            opts=ResourceOptions.merge(options, ResourceOptions(depends_on=[key])),
        )
        return [key, made]

    def schedule(self, named: Named, options: ResourceOptions) -> None:
        """Make CustomResource <server>-archive-schedule, once the server sends its log."""
        name = names.archive(self._server)
        self._objects.make(
            kubernetes.apiextensions.CustomResource,
            f"{name}-schedule",
            **barman.SCHEDULED,
            metadata=named(name, self._server),
            spec=barman.schedule(self._server, self._settings.schedule),
            opts=options,
        )

    @property
    def _bucket(self) -> BucketSettings:
        bucket = self._stack.settings.backup.bucket
        assert bucket  # noqa: S101  # the settings refuse an archive without one
        return bucket
