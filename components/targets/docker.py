"""Servers and daemons as containers, made by pulumi-docker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pulumi_docker as docker
from pulumi import Output, Resource, ResourceOptions

from components.targets import Backups, Drills, RunningDaemon, RunningServer, archives, jobs
from components.targets.containers import ContainersTarget, Wanted, depending_on
from keelson.containers import toolbox
from keelson.containers.model import ContainerSettings, Healthcheck
from keelson.docker import daemon, names, part
from keelson.docker.images.choice import chosen
from keelson.docker.part import DockerSpec
from keelson.inside.settings import dump
from keelson.settings.images import ImageName
from keelson.settings.limits import memory_of
from keelson.settings.parts import PartSettings
from keelson.settings.stack import Stack
from providers.backup_job import BackupJob
from providers.docker_part import DockerFiles, DockerPart, DockerPartImage
from providers.docker_stack import DockerEntry, DockerGround, DockerIdentity, DockerSettings
from providers.drill_job import DrillJob

LOGS = {"max-size": "10m", "max-file": "5"}


class DockerTarget(ContainersTarget):
    """All parts as containers of one daemon, on networks of the stack's own.

    Makes: Provider, three Networks, and Volumes `state` and `backups` for the stack; DockerGround <stack>-ground; Container toolbox;
    DockerIdentity <stack>, DockerEntry <stack>-entry and DockerSettings <stack>-settings; per part Volume <part>-data and <part>-config (not for the agent), DockerPartImage <part>-image,
    DockerFiles <part>-files, Container <part>, DockerPart <part>-process; Volume <server>-archive-data and ArchiveJob <server>-archive for a
    server that keeps one; BackupJob <name>-backup for what is backed up.
    """

    name = "docker"

    def __init__(self, stack: Stack, parent: Resource) -> None:
        self._stack, self._key, self._place = stack, stack.key, stack.settings.place
        found = daemon.find(self._place)
        self._provider = docker.Provider(
            self._key,
            host=found.host,
            cert_path=str(found.certificates) if found.certificates else None,
            opts=ResourceOptions(parent=parent),
        )
        self._networks = self._make_networks(parent)
        self._outside = self._make_outside(parent)
        self._state = self._volume("state", names.state_volume(self._key), parent)
        self._backups = self._volume("backups", names.backups_volume(self._key), parent, kept=True)
        self._archives = {
            name: self._volume(f"{name}-archive-data", names.archive_volume(self._key, name), parent, kept=True)
            for name in archives.archived(stack)
        }
        self._toolbox = self._make_toolbox(parent)
        self._identity, self._entry = self._make_entry(parent)
        self.stack_id: Output[str] = self._identity.stack_id
        self.marks: Mapping[str, Output[str]] = {"mark": self._entry.mark}

    def server(self, name: str, parent: Resource) -> RunningServer:
        """Make a server as on all such platforms, and what is done with its archive."""
        made = super().server(name, parent)
        if name in self._archives:
            opts = ResourceOptions(parent=parent, depends_on=[made.process])
            archives.archive_job(self._stack, name, opts, self.marks)
        return made

    def _server(
        self, name: str, parent: Resource, kind: str, image: ImageName, more: Mapping[str, Any] | None = None
    ) -> Wanted:
        """Return what a server shall be, with its archive."""
        readers = chosen(self._stack.settings.docker, "agent").gid
        archiving = archives.of_container(self._stack, name, readers)
        found = super()._server(name, parent, kind, image, {**(more or {}), **archiving})
        after = [self._archives[name]] if name in self._archives else []
        return replace(found, passwords=archives.passphrase(self._stack, name), after=after)

    def agent(self, after: Sequence[Resource], parent: Resource) -> RunningDaemon:
        """Make the agent's container."""
        backup = self._stack.settings.backup
        values = {"backups": str(backup.directory or ""), **({"outside": True} if backup.ports_outside else {})}
        values |= {"archived": [*self._archives]} if self._archives else {}
        process = self._container(Wanted("agent", "agent", "agent", values, parent, after=after), [self._toolbox])
        return RunningDaemon(process, process.listens_on)

    def applications(self, after: Sequence[Resource], parent: Resource) -> Sequence[Resource]:  # noqa: ARG002
        """Give nobody anything: `keelson env` does."""
        return ()

    def monitoring(
        self, servers: Mapping[str, RunningServer], redis: Mapping[str, RunningServer], parent: Resource
    ) -> None:
        """Make nothing: the agent serves figures."""

    def backup_job(self, backups: Backups, opts: ResourceOptions) -> BackupJob:
        """Make the job that the agent runs."""
        beside = ResourceOptions.merge(opts, ResourceOptions(deleted_with=self._state))
        return jobs.backup_job(backups, beside, self.marks)

    def drill_job(self, drills: Drills, opts: ResourceOptions) -> DrillJob:
        """Make the drill that the agent runs."""
        beside = ResourceOptions.merge(opts, ResourceOptions(deleted_with=self._state))
        return jobs.drill_job(drills, beside, self.marks)

    def _part(self, wanted: Wanted) -> tuple[docker.Volume, DockerPart]:
        """Make a part with a volume for its data and one for its configuration."""
        name = wanted.name
        data = self._volume(f"{name}-data", names.data_volume(self._key, name), wanted.parent)
        config = docker.Volume(
            f"{name}-config",
            name=names.config_volume(self._key, name),
            labels=_volume_labels(self._key, name),
            opts=self._options(wanted.parent),
        )
        return data, self._container(wanted, [data, config])

    def _container(self, wanted: Wanted, before: Sequence[Resource]) -> DockerPart:
        """Make what a part's container is made of and what it reads, the container, and what is done once it runs."""
        name, parent, after = wanted.name, wanted.parent, [*before, *wanted.after]
        spec = self._spec(wanted)
        inputs = asdict(spec) | {"stack_id": self.stack_id, "port": spec.port or 0}
        inside = ResourceOptions(parent=parent, deleted_with=self._state)
        made_of = DockerPartImage(f"{name}-image", inputs, depending_on(inside, after))
        files = DockerFiles(
            f"{name}-files",
            inputs | {"image_id": made_of.image_id, **self.marks, **wanted.secrets},
            depending_on(inside, after),
        )
        made = part.container(spec)
        container = docker.Container(
            name,
            name=names.container(self._key, name),
            image=made_of.image_id,
            ports=_ports(spec, made_of) if spec.published else None,
            **_limits(self._stack.settings.settings_of_parts[name], wanted.kind),
            **self._arguments(name, made, names.ports_network(self._key), (spec.uid, spec.gid)),
            opts=self._container_options(parent, [files], made),
        )
        return DockerPart(
            f"{name}-process",
            inputs | {"container": container.id, "digest": files.digest},
            depending_on(inside, [container]),
        )

    def _spec(self, wanted: Wanted) -> DockerSpec:
        name = wanted.name
        settings, of_docker = self._stack.settings.settings_of_parts[name], self._stack.settings.docker
        found = chosen(of_docker, wanted.image)
        return DockerSpec(
            place=self._place,
            key=self._key,
            stack_id="",
            name=name,
            kind=wanted.kind,
            image=found.reference,
            uid=found.uid,
            gid=found.gid,
            published=of_docker.publish,
            address=of_docker.address,
            port=settings.port,
            preferred_port=settings.preferred_port,
            avoid_ports=tuple(self._stack.settings.ports_of_others(name)),
            settings=wanted.settings,
            data_stays=self._stack.settings.protected,
        )

    def _arguments(self, name: str, settings: ContainerSettings, first: str, user: tuple[int, int]) -> dict[str, Any]:
        """Return what all containers have: no rights, a root that cannot be written, logs that end, their networks.

        The network `first` is the container's mode, by which it gets no alias: nobody looks for it there.
        """
        return {
            "hostname": name,
            "user": "{}:{}".format(*user),
            "must_run": True,
            "command": list(settings.command),
            "envs": [f"{key}={value}" for key, value in sorted(settings.environment.items())],
            "read_only": True,
            "capabilities": docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            "security_opts": ["no-new-privileges:true"],
            "tmpfs": part.tmpfs(settings, *user),
            "shm_size": settings.shm_size,
            "volumes": [
                docker.ContainerVolumeArgs(container_path=mount.path, read_only=mount.read_only, **_source(volume))
                for volume, mount in part.volumes(self._key, name, settings).items()
            ],
            "network_mode": first,
            "networks_advanced": [
                docker.ContainerNetworksAdvancedArgs(name=network, aliases=[name])
                for network in names.networks(self._key, settings.networks)
                if network != first
            ],
            "healthcheck": _health(settings.healthcheck),
            "stop_signal": settings.stop_signal,
            "stop_timeout": settings.stop_timeout,
            "destroy_grace_seconds": settings.stop_timeout,
            "restart": "unless-stopped",
            "log_driver": "json-file",
            "log_opts": LOGS,
            "labels": [
                docker.ContainerLabelArgs(label=label, value=value)
                for label, value in names.labels(self._key, name).items()
            ],
        }

    def _make_networks(self, parent: Resource) -> list[docker.Network]:
        closed: dict[str, Any] = {"internal": True}
        apart: dict[str, Any] = {
            "options": {
                "com.docker.network.bridge.enable_icc": "false",
                "com.docker.network.bridge.enable_ip_masquerade": "false",
            }
        }
        wanted = {
            names.network(self._key): closed,
            names.admin_network(self._key): closed,
            names.ports_network(self._key): apart,
        }
        return [self._network(name, arguments, parent) for name, arguments in wanted.items()]

    def _make_outside(self, parent: Resource) -> list[docker.Network]:
        """Make the network that leads out, where somebody asks what is not of the stack."""
        if not self._stack.settings.asks_outside:
            return []
        alone = {"options": {"com.docker.network.bridge.enable_icc": "false"}}
        return [self._network(names.outside_network(self._key), alone, parent)]

    def _network(self, name: str, arguments: Mapping[str, Any], parent: Resource) -> docker.Network:
        labels = [
            docker.NetworkLabelArgs(label=label, value=value)
            for label, value in names.labels(self._key, "network").items()
        ]
        return docker.Network(name, name=name, driver="bridge", labels=labels, **arguments, opts=self._options(parent))

    def _make_toolbox(self, parent: Resource) -> docker.Container:
        """Make the container through which all else is reached; it runs before anything else does."""
        settings = self._stack.settings
        place = str(settings.backup.directory or "")
        image = chosen(settings.docker, "agent")
        ground = DockerGround(
            f"{self._stack.name}-ground",
            {
                "place": self._place,
                "key": self._key,
                "image": image.reference,
                "uid": image.uid,
                "gid": image.gid,
                "backups": place,
            },
            ResourceOptions(parent=parent, depends_on=[self._state, self._backups]),
        )
        name = names.TOOLBOX
        made = toolbox.container(place, [*self._archives], outside=bool(settings.backup.ports_outside))
        return docker.Container(
            name,
            name=names.container(self._key, name),
            image=ground.image_id,
            **self._arguments(name, made, names.admin_network(self._key), (image.uid, image.gid)),
            opts=self._container_options(parent, [*self._networks, *self._archives.values()], made),
        )

    def _make_entry(self, parent: Resource) -> tuple[DockerIdentity, DockerEntry]:
        """Make what the state volume knows of the stack: its id, which never changes, and its settings."""
        inside = ResourceOptions(parent=parent, deleted_with=self._state)
        stack, place = self._stack, {"place": self._place, "key": self._key}
        named = place | {"environment": stack.settings.environment}
        identity = DockerIdentity(stack.name, named, depending_on(inside, [self._toolbox]))
        entry = DockerEntry(f"{stack.name}-entry", named | {"stack_id": identity.stack_id}, inside)
        DockerSettings(f"{stack.name}-settings", place | {"settings": dump(stack), "mark": entry.mark}, inside)
        return identity, entry

    def _volume(self, resource: str, name: str, parent: Resource, *, kept: bool = False) -> docker.Volume:
        """Make a volume that is never replaced: what lives on it would be lost."""
        protected = self._stack.settings.protected
        return docker.Volume(
            resource,
            name=name,
            labels=_volume_labels(self._key, resource),
            opts=self._options(
                parent,
                protect=protected,
                retain_on_delete=protected or kept,
                ignore_changes=["labels", "driver", "driverOpts"],
            ),
        )

    def _container_options(
        self, parent: Resource, after: Sequence[Resource], settings: ContainerSettings
    ) -> ResourceOptions:
        """Return when a container is made anew beside what the plugin says.

        It calls an edited health check an update, and applies nothing; and it does not see that a network is another one.
        """
        outside = self._outside if "outside" in settings.networks else []
        return self._options(
            parent,
            depends_on=[*after, *outside],
            replace_on_changes=["healthcheck"],
            replacement_trigger=[network.id for network in (*self._networks, *outside)],
            delete_before_replace=True,
        )

    def _options(self, parent: Resource, **more: Any) -> ResourceOptions:  # noqa: ANN401 - a resource's options
        return ResourceOptions(parent=parent, provider=self._provider, **more)


def _volume_labels(key: str, part: str) -> list[docker.VolumeLabelArgs]:
    return [docker.VolumeLabelArgs(label=label, value=value) for label, value in names.labels(key, part).items()]


def _source(volume: str) -> dict[str, str]:
    """Return the argument that names a volume, or a directory of the daemon's machine."""
    return {"host_path": volume} if volume.startswith("/") else {"volume_name": volume}


def _ports(spec: DockerSpec, made_of: DockerPartImage) -> list[docker.ContainerPortArgs]:
    inner = part.kind(spec.kind).listens_on
    return [docker.ContainerPortArgs(internal=inner, external=made_of.published_port, ip=spec.address)]


def _health(check: Healthcheck | None) -> docker.ContainerHealthcheckArgs | None:
    if check is None:
        return None
    return docker.ContainerHealthcheckArgs(
        tests=["CMD", *check.command],
        interval=_duration(check.interval),
        timeout=_duration(check.timeout),
        start_period=_duration(check.start_period),
        retries=check.retries,
    )


def _duration(seconds: int) -> str:
    """Return seconds as the plugin reads them back, or each preview would find a difference."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _limits(settings: PartSettings, kind: str) -> dict[str, Any]:
    """Return what a part may take of the machine's memory, without swap, and of its processors."""
    memory = memory_of(settings, kind)
    return {"memory": memory, "memory_swap": memory, "cpus": f"{settings.cpus:g}" if settings.cpus else None}
