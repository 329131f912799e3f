"""A PostgreSQL server of several instances: a `Cluster` of CloudNativePG, which starts, watches, promotes and restarts them.

The Cluster itself is the engine's, made by pulumi-kubernetes. Here is what stands around it: the password and the certificate that the
operator reads, the parameters that it may be given, and waiting until it has done what its Cluster says. What is inside of the server
(databases, roles, grants) is ours alone, and no part of the Cluster.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from keelson.containers import server, state
from keelson.containers.model import PartSpec
from keelson.containers.server import ADMINISTRATOR, INSIDE, PORT
from keelson.errors import PlatformError, ServerError
from keelson.kubernetes import archives, barman, cluster, ground, names, part, pods, sides, workloads
from keelson.kubernetes.cluster import Cluster, Json
from keelson.kubernetes.files import Kept
from keelson.kubernetes.part import KubernetesSpec
from keelson.local import configuration
from keelson.postgres import auditing
from keelson.timescale import updates

API = workloads.OPERATORS_API
HEALTHY = "Cluster in healthy state"
SECONDS_TO_START = 300.0  # for a node to get the image, attach the volumes, and initdb
SECONDS_TO_JOIN = 60.0  # for each further instance
SECONDS_TO_REST = 180.0
SECONDS_TO_ARCHIVE = 150.0  # for the first file of the log, or one after a place was mended
POLL = 0.5
RELOADED = {"cnpg.io/reload": "true"}  # a Secret with this label is taken over as soon as it changes
OPERATORS = frozenset(  # parameters that the platform sets elsewhere, and the operator here
    {
        *("archive_command", "archive_mode", "cluster_name", "listen_addresses", "log_destination", "logging_collector", "port"),
        *("ssl", "ssl_ca_file", "ssl_cert_file", "ssl_key_file", "shared_preload_libraries", "unix_socket_directories"),
    }
)  # fmt: skip
# The usual value: an extension that its Cluster says nothing about is dropped by the operator wherever it finds it.
USED = {"pg_stat_statements.track": "top"}
REPLICATION = {
    "wal_keep_size": "64MB",
    "wal_retrieve_retry_interval": "500ms",  # how soon a replica asks a new primary again; until then no write is acknowledged
}
AUDIT = auditing.PREFIX  # of parameters: where a Cluster has one, its operator makes the extension in every database
_FILES = "SELECT name, setting, error FROM pg_file_settings WHERE name IS NOT NULL ORDER BY seqno"
_PENDING = "SELECT name FROM pg_settings WHERE pending_restart ORDER BY 1"


class ClusterKind(server.ServerKind):
    """See `keelson.kubernetes.part.Kind` for what each method is for."""

    def places(self, spec: KubernetesSpec) -> tuple[Kept, ...]:
        """The Secrets that the operator reads, each with what it needs to know alone."""
        return (
            Kept(names.superuser(spec.name), "kubernetes.io/basic-auth", ("username", "password"), RELOADED),
            Kept(names.certificate(spec.name), "kubernetes.io/tls", ("tls.crt", "tls.key", "ca.crt"), RELOADED),
        )

    def services(self, spec: KubernetesSpec) -> dict[str, str]:
        """The operator's Services."""
        pooled = {"pooler_host": names.pooler(spec.name)} if spec.settings.get("pooler") else {}
        return {"host": names.writable(spec.name), "readonly_host": names.replicas(spec.name), **pooled}

    def files(self, spec: PartSpec) -> Mapping[str, str]:
        """Return the administrator's login, and a certificate for all names that the server is known by."""
        found = state.ask(spec.place, spec.key, "certificate", server=spec.name, names=[*_known_as(spec)])
        return {
            "username": ADMINISTRATOR,
            "password": state.password(spec, ADMINISTRATOR),
            "tls.crt": found["server.crt"],
            "tls.key": found["server.key"],
            "ca.crt": found["ca.crt"],
        }

    def refuse(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Refuse volumes that would have to shrink, or to become others."""
        for volume in ("storage", "wal_storage"):
            ground.refuse_shrink(f"an instance ({volume})", str(old[volume]), str(new[volume]))
        if old["storage_class"] != new["storage_class"]:
            msg = "the volumes of the instances keep their storage class; add another server and restore into it"
            raise ServerError(msg)

    def rest(self, spec: KubernetesSpec) -> None:
        """End what was restored beside it, and the instances of a Cluster that stays for its data."""
        sides.discard_all(spec.place, spec.key, spec.name)
        if spec.data_stays:
            rest(spec.place, spec.key, spec.name)

    def bring(self, spec: KubernetesSpec) -> tuple[str, ...]:
        """Wake the instances, and wait until all are what the Cluster says, and a replica has what is committed."""
        _wake(spec)
        lacks: list[str] = []
        until = time.monotonic() + SECONDS_TO_START + SECONDS_TO_JOIN * int(spec.settings["instances"])

        def fault() -> str:
            made = _cluster(spec)
            lacks[:] = _lacks(spec, made)
            if (found := _unfinished(spec, made)) or not lacks:
                return found
            late = time.monotonic() > until - SECONDS_TO_JOIN
            return "" if late and _acknowledges(spec, made) else lacks[0]

        part.wait(spec, fault, until - time.monotonic())
        _refuse_wrong(spec)
        with part.connect(spec) as admin:
            auditing.keep(admin, _audited(spec))
        if spec.settings.get("archive"):
            _await_archive(spec)
        updated = updates.update(part.administrator(spec)) if spec.settings.get("timescaledb") else ()
        return (*updated, *(f"{each}; it goes on with those" for each in lacks))


def parameters(spec: KubernetesSpec, megabytes: int) -> dict[str, str]:
    """Return what the Cluster's PostgreSQL is told: the settings, and what fits the memory of an instance where they say nothing."""
    given = {name.lower() for name in spec.settings.get("parameters", {})}
    tuned = {name: value for name, value in tuned_for(megabytes).items() if name not in given}
    sent = {"archive_timeout": barman.EVERY_FILE} if spec.settings.get("archive") else {}
    values = USED | REPLICATION | sent | configuration.values(server.server_of(spec), PORT, INSIDE) | tuned
    return {
        name: value for name, value in sorted(values.items()) if name not in OPERATORS and not name.startswith(AUDIT)
    }


def tuned_for(megabytes: int) -> dict[str, str]:
    """Return sizes by an instance's memory: a quarter for shared buffers, as PostgreSQL's manual advises (19.4.1), the rest by custom."""
    return {
        "shared_buffers": f"{max(16, megabytes // 4)}MB",
        "effective_cache_size": f"{max(32, megabytes * 7 // 10)}MB",
        "maintenance_work_mem": f"{min(2048, max(16, megabytes // 20))}MB",
    }


def preloaded(spec: KubernetesSpec) -> list[str]:
    """Return the libraries that are loaded with the server."""
    return configuration.values(server.server_of(spec), PORT)["shared_preload_libraries"].split(",")


def rest(place: str, key: str, server: str) -> None:
    """End the instances of a server; its Cluster and the volumes stay.

    Raises:
        PlatformError: they do not end in time, or the cluster refuses.
    """
    found = cluster.connect(place)
    until = time.monotonic() + SECONDS_TO_REST
    while (seen := workloads.look(found, key, server).get(server)) and (seen.pods or not seen.stopped):
        workloads.scale(found, seen, 0)
        if time.monotonic() > until:
            msg = f"the instances of {server} do not end; see `{found.kubectl('get pods')}`"
            raise PlatformError(msg)
        time.sleep(POLL)


def _await_archive(spec: KubernetesSpec) -> None:
    """Wait until the log arrives in the archive, and send it a file more, so that a place that does not work is told at once."""
    until = time.monotonic() + SECONDS_TO_ARCHIVE
    while (said := archives.stuck(spec.found, spec.name)) and time.monotonic() < until:
        time.sleep(POLL)
    if not said:
        with part.connect(spec) as admin:
            said = "" if archives.send(admin) else "its log does not arrive in the bucket in time"
    if said:
        msg = f"server {spec.name} serves, and is not archived: {said}"
        raise ServerError(msg)


def _wake(spec: KubernetesSpec) -> None:
    seen = workloads.look(spec.found, spec.key, spec.name).get(spec.name)
    if seen:
        workloads.scale(spec.found, seen, 1)


def _known_as(spec: PartSpec) -> Iterable[str]:
    """Give every name of its Services."""
    namespace = cluster.find(spec.place).namespace
    own = (names.writable(spec.name), names.replicas(spec.name), f"{names.of(spec.name)}-r", names.pooler(spec.name))
    return (name for service in own for name in names.dns(service, namespace))


def _unfinished(spec: KubernetesSpec, made: Json) -> str:
    """Return what is not yet as the Cluster says, and without which nothing can go on; nothing where all is."""
    if not made:
        return "its Cluster is missing"
    old = [name for name, image in _images(spec.found, spec.key, spec.name).items() if image != spec.image]
    if old:
        return f"{', '.join(old)} runs another image ({workloads.told(made)})"
    if late := archives.unfit(spec.found, spec.key, spec.name, archived=bool(spec.settings.get("archive"))):
        return f"{', '.join(late)} is not made anew yet for what the settings say of its archive"
    try:
        with part.connect(spec) as connection:
            return _waiting(connection, spec)
    except psycopg.Error as fault:  # an instance that is about to be made anew
        return str(fault).strip()


def _lacks(spec: KubernetesSpec, made: Json) -> list[str]:
    """Return in a few words what instances are missing; nothing where all are ready and the operator has nothing to do."""
    status = made.get("status") or {}
    ready, wanted = int(status.get("readyInstances", 0)), int(spec.settings["instances"])
    if ready < wanted:
        return [f"{ready} of {wanted} instances are ready ({status.get('phase', 'the operator has not looked')})"]
    return [] if status.get("phase") == HEALTHY else [f"its operator has not finished ({status.get('phase')})"]


def _acknowledges(spec: KubernetesSpec, made: Json) -> bool:
    """Say whether enough instances are there for a commit."""
    status = made.get("status") or {}
    return int(status.get("readyInstances", 0)) > int(spec.settings["synchronous"])


def _waiting(connection: psycopg.Connection, spec: KubernetesSpec) -> str:
    """Return which parameter the server has not taken over; one that it refuses is told by `_refuse_wrong`."""
    if missing := {*preloaded(spec)} - {*_shown(connection, "shared_preload_libraries").split(",")}:
        return f"it has not loaded {', '.join(sorted(missing))} yet"
    known = {name: setting for name, setting, _ in connection.execute(_FILES)}
    wanted = _wanted(spec)
    if late := [name for name, value in wanted.items() if known.get(name) != value]:
        return f"it has not taken over {', '.join(late)} yet"
    pending = [name for (name,) in connection.execute(_PENDING) if name in wanted]
    return f"it waits for a restart for {', '.join(pending)}" if pending else ""


def _shown(connection: psycopg.Connection, parameter: str) -> str:
    row = connection.execute("SELECT pg_catalog.current_setting(%s)", [parameter]).fetchone()
    return str(row[0]).replace('"', "").replace(" ", "") if row else ""


def _refuse_wrong(spec: KubernetesSpec) -> None:
    """Raise ServerError where PostgreSQL goes on without a parameter that it does not understand."""
    with part.connect(spec) as connection:
        wrong = [(name, setting, error) for name, setting, error in connection.execute(_FILES) if error]
    for name, setting, error in wrong:
        msg = f"server {spec.name} goes on without {name} = {setting} ({error}), and would not start again; correct it in the settings"
        raise ServerError(msg)


def _wanted(spec: KubernetesSpec) -> dict[str, str]:
    return parameters(spec, int(spec.settings["memory"]))


def _audited(spec: KubernetesSpec) -> dict[str, str]:
    """Return the parameters of pgAudit, which the server keeps itself."""
    values = configuration.values(server.server_of(spec), PORT, INSIDE)
    return {name: value for name, value in values.items() if name.startswith(AUDIT)}


def _images(found: Cluster, key: str, name: str) -> dict[str, str]:
    """Return which image each instance runs."""
    listed = found.items(found.at("pods"), names.selector(key, name))
    return {each["metadata"]["name"]: pods.image(each) for each in listed if not workloads.is_of_job(each)}


def _cluster(spec: KubernetesSpec) -> Json:
    """Return the Cluster as it is now; nothing where it is missing."""
    return spec.found.get(spec.found.at("clusters", spec.service, api=API)) or {}
