"""What a cluster needs done around each kind of part once its pod runs; what is in it stands in `keelson.containers`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from keelson.containers import agent, exporters, pgadmin, redis, server
from keelson.containers.model import PartSpec
from keelson.containers.server import REPAIR, SECONDS_TO_RECOVER, SECONDS_TO_STOP
from keelson.errors import KeelsonError, ServerError
from keelson.kubernetes import files, instances, names, part, sentinel, standing
from keelson.kubernetes.files import Kept
from keelson.kubernetes.part import Kind, KubernetesSpec
from keelson.local import configuration
from keelson.redis.server import BUSY_SECONDS
from keelson.target import target
from keelson.timescale import updates

SECONDS_TO_START = 180.0  # for a node to get the image and attach the volume
SECONDS_TO_PREPARE = 60.0  # from its start until its pages must be there


class OnePod:
    """What is the same for each part of one pod."""

    def places(self, spec: KubernetesSpec) -> tuple[Kept, ...]:
        """The Secret that its pod mounts."""
        return files.of_pod(spec.name)

    def services(self, spec: KubernetesSpec) -> dict[str, str]:
        """The Service of its name."""
        return {"host": spec.service}

    def refuse(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Any settings may change: its volume is another resource."""

    def rest(self, spec: KubernetesSpec) -> None:
        """Nothing runs on: its workload is the engine's."""


class ServerKind(OnePod, server.ServerKind):
    """See `keelson.kubernetes.part.Kind` for what each method is for."""

    def bring(self, spec: KubernetesSpec) -> tuple[str, ...]:
        """Wait for an answer, update TimescaleDB in its databases, let it read its files, and restart it if PostgreSQL asks for that."""
        notes = _await_server(spec)
        if spec.settings.get("timescaledb"):
            notes = (*notes, *updates.update(part.administrator(spec)))
        part.await_files(spec)
        with part.connect(spec) as connection:
            waiting = configuration.reload(connection, spec.name)
        if waiting:
            part.restart(spec, SECONDS_TO_STOP)
            notes = (*notes, f"restarted for {', '.join(waiting)}", *_await_server(spec))
        return notes


class RedisKind(OnePod, redis.RedisKind):
    """See `keelson.kubernetes.part.Kind` for what each method is for."""

    def files(self, spec: PartSpec) -> Mapping[str, str]:
        """Return those of a single one, and what several instances read beside them."""
        assert isinstance(spec, KubernetesSpec)  # noqa: S101 - as all of this platform
        more = sentinel.files(spec)
        return {**super().files(spec), **more}

    def bring(self, spec: KubernetesSpec) -> tuple[str, ...]:
        """Wait until it has loaded its data, and set all that it takes while it runs.

        Only one that refuses its administrator starts anew, with the passwords of the stack.
        """
        if standing.count(spec) > 1:
            return sentinel.bring(spec)
        part.wait(spec, lambda: sentinel.remainder(spec), SECONDS_TO_START)
        seconds = SECONDS_TO_START + BUSY_SECONDS
        part.wait(spec, lambda: redis.fault(spec), seconds)
        part.await_files(spec)
        command = partial(part.run, spec)
        if not redis.update(spec, command):
            part.restart(spec, redis.SAVE_SECONDS)
            part.wait(spec, lambda: redis.fault(spec), seconds)
            if not redis.update(spec, command):
                msg = f"{spec.name} refuses the password of its administrator; see `keelson logs {spec.name}`"
                raise ServerError(msg)
        return ()


class PgAdminKind(OnePod, pgadmin.PgAdminKind):
    """See `keelson.kubernetes.part.Kind` for what each method is for."""

    def bring(self, spec: KubernetesSpec) -> tuple[str, ...]:
        """See that it has a pod; its pages may come later."""
        part.wait(spec, lambda: "" if part.pod_of(spec) else "it has no pod", SECONDS_TO_START)
        return ()


class AgentKind(OnePod, agent.AgentKind):
    """See `keelson.kubernetes.part.Kind` for what each method is for."""

    def bring(self, spec: KubernetesSpec) -> tuple[str, ...]:
        """Wait until the agent itself works."""
        part.wait(spec, lambda: agent.fault(spec), SECONDS_TO_START)
        return ()


class PostgresExporterKind(OnePod, exporters.PostgresExporterKind):
    """See `keelson.kubernetes.part.Kind` for what each method is for."""

    def bring(self, spec: KubernetesSpec) -> tuple[str, ...]:
        """Wait until a pod that has read its files as they are now has figures."""
        return _await_figures(spec, "pg_up 1")


class RedisExporterKind(OnePod, exporters.RedisExporterKind):
    """See `keelson.kubernetes.part.Kind` for what each method is for."""

    def bring(self, spec: KubernetesSpec) -> tuple[str, ...]:
        """Wait until a pod that has read its files as they are now has figures."""
        return _await_figures(spec, "redis_up 1")


BY_NAME: Mapping[str, type[Kind]] = {
    "server": ServerKind,
    "redis": RedisKind,
    "pgadmin": PgAdminKind,
    "agent": AgentKind,
    "cluster": instances.ClusterKind,
    "postgres-exporter": PostgresExporterKind,
    "redis-exporter": RedisExporterKind,
}


def _await_figures(spec: KubernetesSpec, wanted: str) -> tuple[str, ...]:
    """Wait until an exporter says that it sees its part; as it reads its files once, a pod that is older than these is made anew."""
    part.wait(spec, lambda: "" if part.pod_of(spec) else "it has no pod", SECONDS_TO_START)
    if _is_older_than_its_files(spec):
        part.restart(spec, exporters.STOPPING)

    def fault() -> str:
        address = target(spec.place).locate(spec.key, spec.name)
        seen = wanted in exporters.page(address.host, address.port).splitlines()
        return "" if seen else f"it gets no figures of {spec.settings['part']}"

    part.wait(spec, fault, SECONDS_TO_START)
    return ()


def _is_older_than_its_files(spec: KubernetesSpec) -> bool:
    """Say whether its pod was made before the Secret that it mounts was last written."""
    found = spec.found
    secret = found.get(found.at("secrets", names.config(spec.name)), metadata=True)
    pod = part.pod_of(spec)
    if secret is None or pod is None:
        return False
    written = max(str(each["time"]) for each in secret["metadata"]["managedFields"])
    return str(pod["metadata"]["creationTimestamp"]) < written  # both by the API's clock


def _await_server(spec: KubernetesSpec) -> tuple[str, ...]:
    """Wait until the administrator is let in; return what was repaired for that."""
    notes: list[str] = []

    def fault() -> str:
        try:
            part.connect(spec).close()
        except KeelsonError as found:
            _repair(spec, notes)
            return str(found)
        return ""

    part.wait(spec, fault, SECONDS_TO_START + SECONDS_TO_RECOVER)
    return tuple(notes)


def _repair(spec: KubernetesSpec, notes: list[str]) -> None:
    """Where the server runs and refuses its administrator, do once what lets that in again, from inside the pod."""
    pod = part.pod_of(spec)
    if pod is None or not part.runs(pod):
        return
    try:
        part.run(spec, "sh", "-c", server.QUESTION)
    except KeelsonError as found:
        if (repair := server.repair(spec, str(found))) and repair[0] not in notes:
            note, statements = repair
            part.run(spec, *REPAIR, given=statements)
            notes.append(note)
