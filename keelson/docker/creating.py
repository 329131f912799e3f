"""A part's container that the engine does not make: of a server that was restored beside a live one."""

from __future__ import annotations

from typing import Any

from keelson.containers.model import ContainerSettings
from keelson.docker import daemon, names, part
from keelson.docker.part import DockerSpec, Prepared

SECOND = 1_000_000_000  # nanoseconds


def create(spec: DockerSpec, prepared: Prepared, like: Any) -> None:  # noqa: ANN401 - a container of docker-py
    """Make and start it, with the limits and the logs of another one; only administrators' networks lead to it."""
    from docker.types import LogConfig  # noqa: PLC0415

    client, made, limits = daemon.connect(spec.place), part.container(spec), like.attrs["HostConfig"]
    logs = limits["LogConfig"]
    with daemon.sentences(spec.place):
        container = client.containers.create(
            prepared.image_id,
            [*made.command],
            name=spec.container,
            hostname=spec.name,
            user=f"{spec.uid}:{spec.gid}",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            environment=dict(made.environment),
            tmpfs=part.tmpfs(made, spec.uid, spec.gid),
            shm_size=f"{made.shm_size}m",
            volumes={
                volume: {"bind": mount.path, "mode": "ro" if mount.read_only else "rw"}
                for volume, mount in part.volumes(spec.key, spec.name, made).items()
            },
            healthcheck=_health(made),
            stop_signal=made.stop_signal,
            network=names.ports_network(spec.key),
            ports={f"{part.kind(spec.kind).listens_on}/tcp": (spec.address, prepared.port)} if prepared.port else None,
            mem_limit=limits.get("Memory") or None,
            memswap_limit=limits.get("MemorySwap") or None,
            nano_cpus=limits.get("NanoCpus") or None,
            log_config=LogConfig(type=logs["Type"], config=logs["Config"]),
            restart_policy={"Name": "unless-stopped"},  # type: ignore[arg-type] # the stubs ask for a count
            labels=names.labels(spec.key, spec.name),
        )
        client.networks.get(names.admin_network(spec.key)).connect(container, aliases=[spec.name])
        container.start()


def _health(made: ContainerSettings) -> Any:  # noqa: ANN401 - as docker-py has it
    from docker.types import Healthcheck  # noqa: PLC0415

    check = made.healthcheck
    if check is None:
        return None
    return Healthcheck(
        test=["CMD", *check.command],
        interval=check.interval * SECOND,
        timeout=check.timeout * SECOND,
        retries=check.retries,
        start_period=check.start_period * SECOND,
    )
