"""What asks one server or Redis for its figures, and serves them to Prometheus, in a container.

Settings of both kinds: `part`, the server or Redis that it asks; of a Redis that speaks TLS `tls`. It logs in as `monitor`, with a password that lies in a file.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import ClassVar

from keelson.containers import redis, server, state
from keelson.containers.model import CONFIG, ContainerSettings, Healthcheck, Mount, PartSpec
from keelson.errors import UnreachableError
from keelson.postgres.monitor import MONITOR
from keelson.postgres.ownership import MAINTENANCE_DATABASE
from keelson.reasons import reason

AUTHORITY = "ca.crt"
PASSWORD_FILE = "password"  # noqa: S105 - a file's name
PASSWORDS_FILE = "passwords.json"
MODULES_FILE = "modules.yml"  # the exporter complains where there is none
STOPPING = 10  # seconds
SECONDS = 10.0  # that a look at all of a part may take
SHARED_MEMORY = 1  # MB
OF_POSTGRES = (
    # Those that PostgreSQL 17 answers otherwise than before are the exporter's own to tell apart: it asks both of these.
    *("--collector.stat_checkpointer", "--collector.postmaster", "--collector.database_wraparound"),
    # They see the tables of the one database that it connects to, which holds nobody's; and limits that nobody set.
    *("--no-collector.stat_user_tables", "--no-collector.statio_user_tables", "--no-collector.roles"),
)


class PostgresExporterKind:
    """Figures of a PostgreSQL server; see `keelson.containers.kinds.Kind` for what each method is for."""

    logins: ClassVar[tuple[str, ...]] = ()  # the server's own is used
    listens_on = 9187

    def check(self, spec: PartSpec) -> None:
        """Nothing is left to check: the settings were checked where they were read."""

    def container(self, spec: PartSpec) -> ContainerSettings:
        """Return what its container is like; the server's certificate is verified, by its name."""
        host = spec.host_of(str(spec.settings["part"]))
        query = f"sslmode=verify-full&sslrootcert={CONFIG}/{AUTHORITY}&application_name=exporter&connect_timeout=5"
        return _container(
            (f"--config.file={CONFIG}/{MODULES_FILE}", f"--web.listen-address=:{self.listens_on}", *OF_POSTGRES),
            {
                "DATA_SOURCE_URI": f"{host}:{server.PORT}/{MAINTENANCE_DATABASE}?{query}",
                "DATA_SOURCE_USER": MONITOR,
                "DATA_SOURCE_PASS_FILE": f"{CONFIG}/{PASSWORD_FILE}",
            },
            "/",
        )

    def files(self, spec: PartSpec) -> Mapping[str, str]:
        """Return its password, what servers are verified against, and that it has no further targets."""
        return {
            PASSWORD_FILE: _password(spec),
            **_authority(spec),
            MODULES_FILE: "auth_modules: {}\n",
        }


class RedisExporterKind:
    """Figures of a Redis; see `keelson.containers.kinds.Kind` for what each method is for."""

    logins: ClassVar[tuple[str, ...]] = ()
    listens_on = 9121

    def check(self, spec: PartSpec) -> None:
        """Nothing is left to check: the settings were checked where they were read."""

    def container(self, spec: PartSpec) -> ContainerSettings:
        """Return what its container is like; histograms of each command are left out: they are many series."""
        return _container(
            (f"-web.listen-address=:{self.listens_on}", "-exclude-latency-histogram-metrics"),
            {
                "REDIS_ADDR": f"{_scheme(spec)}://{_host(spec)}",
                "REDIS_USER": MONITOR,
                "REDIS_PASSWORD_FILE": f"{CONFIG}/{PASSWORDS_FILE}",
                **({"REDIS_EXPORTER_TLS_CA_CERT_FILE": f"{CONFIG}/{AUTHORITY}"} if spec.settings.get("tls") else {}),
            },
            "/health",
        )

    def files(self, spec: PartSpec) -> Mapping[str, str]:
        """Return its password, by the address as the exporter writes it, and what the Redis is verified against."""
        known = {f"{_scheme(spec)}://{MONITOR}@{_host(spec)}": _password(spec)}
        return {PASSWORDS_FILE: json.dumps(known) + "\n"} | (_authority(spec) if spec.settings.get("tls") else {})


def page(host: str, port: int) -> str:
    """Return what Prometheus would read; raises UnreachableError where nothing answers."""
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException) as fault:
        msg = f"its page does not answer ({reason(fault)})"
        raise UnreachableError(msg) from None
    finally:
        connection.close()


def _container(command: tuple[str, ...], environment: Mapping[str, str], page: str) -> ContainerSettings:
    return ContainerSettings(
        command=command,
        environment=environment,
        volumes={"config": Mount(CONFIG, read_only=True)},
        networks=("product",),
        healthcheck=Healthcheck(page=page),
        stop_timeout=STOPPING,
        shm_size=SHARED_MEMORY,
    )


def _authority(spec: PartSpec) -> dict[str, str]:
    return {AUTHORITY: str(state.ask(spec.place, spec.key, "authority"))}


def _scheme(spec: PartSpec) -> str:
    return "rediss" if spec.settings.get("tls") else "redis"


def _host(spec: PartSpec) -> str:
    return f"{spec.host_of(str(spec.settings['part']))}:{redis.PORT}"


def _password(spec: PartSpec) -> str:
    return str(state.ask(spec.place, spec.key, "password", server=str(spec.settings["part"]), role=MONITOR))
