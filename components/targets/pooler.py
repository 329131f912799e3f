"""A server's pooler, as the `Pooler` from which CloudNativePG makes a Deployment and a Service, and what the operator does not make.

The operator fills in the rest: what both programs of a pod run, their account, an unprivileged user and a root that cannot be written.
By itself it makes a login in the server that may look up the hashes of other logins; so clients log in as themselves.
"""

from __future__ import annotations

from typing import Any

from components.targets import pods
from components.targets.instances import as_kept
from keelson.docker.images.traits import Traits
from keelson.kubernetes import names, poolers
from keelson.local.configuration import NEWEST_TLS
from keelson.settings.limits import CPUS
from keelson.settings.pooler import PoolerSettings
from keelson.settings.stack import Stack

Json = dict[str, Any]
CONTAINER, SETUP = "pgbouncer", "bootstrap-controller"  # as the operator calls them
PORT = 5432
STEADY = {  # parameters whatever the settings say
    "client_tls_sslmode": "require",
    "server_tls_sslmode": "verify-full",
    "max_prepared_statements": "200",  # of the drivers, kept on each connection, and made again where they are missing
    "server_login_retry": "1",  # seconds after which a new primary is asked again
    "server_connect_timeout": "5",
    "tcp_keepidle": "5",
    "tcp_keepintvl": "5",
    "tcp_keepcnt": "3",
    "tcp_user_timeout": "15000",  # ms: who answers nothing is given up, such as a node that has gone
    "log_connections": "0",
    "log_disconnections": "0",
}
TLS = {  # where the server speaks TLS 1.3 alone
    "server_tls_protocols": "tlsv1.3",
    "client_tls_ciphers": "PSK-AES256-GCM-SHA384",  # of 1.2, and never agreed on: the operator refuses client_tls_protocols
}
HBA = [f"host all postgres {addresses} reject" for addresses in ("0.0.0.0/0", "::/0")]  # it is for applications


def spec(stack: Stack, server: str, image: Traits) -> Json:
    """Return the Pooler's spec; a digest of it comes to stand at the Service, when the operator has done what it says."""
    settings = stack.settings.servers[server].pooler or PoolerSettings()
    certificate = {"name": names.certificate(server)}
    made = {
        "cluster": {"name": names.of(server)},
        "type": "rw",
        "instances": settings.instances,
        "deploymentStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        "template": _template(stack, server, settings),
        "pgbouncer": {
            "image": image.reference,
            "poolMode": settings.mode,
            "clientTLSSecret": certificate,
            "serverCASecret": certificate,
            "parameters": _parameters(settings) | _tls(stack, server),
            "pg_hba": HBA,
        },
    }
    return made | {"serviceTemplate": {"metadata": _told(stack, server, {poolers.DONE: pods.digest(made)})}}


def digest(made: Json) -> str:
    """Return what a Pooler's spec says that its Service shall bear."""
    return str(made["serviceTemplate"]["metadata"]["annotations"][poolers.DONE])


def budget(server: str) -> Json:
    """Return a PodDisruptionBudget's spec: whoever empties nodes ends one of its pods at a time."""
    return {"maxUnavailable": 1, "selector": {"matchLabels": {names.POOLER_LABEL: names.pooler(server)}}}


def _parameters(settings: PoolerSettings) -> dict[str, str]:
    """Return pgbouncer's parameters: all logins of a database share one pool's worth of connections."""
    size = str(settings.pool_size)
    sizes = {"default_pool_size": size, "max_db_connections": size, "max_client_conn": str(settings.max_client_conn)}
    return dict(sorted((STEADY | sizes).items()))


def _tls(stack: Stack, server: str) -> dict[str, str]:
    """Return what holds its clients and itself to the versions of TLS that the server speaks."""
    oldest = stack.settings.parameters_of(server).get("ssl_min_protocol_version", NEWEST_TLS)
    return TLS if oldest == NEWEST_TLS else {}


def _template(stack: Stack, server: str, settings: PoolerSettings) -> Json:
    """Return what of the pods is ours to say."""
    memory = {"memory": as_kept(f"{settings.memory}Mi")}
    resources = {"requests": {"cpu": as_kept(f"{CPUS:g}"), **memory}, "limits": memory}
    connects = {"tcpSocket": {"port": PORT}, "timeoutSeconds": 5}
    pull_secrets = stack.settings.kubernetes.pull_secrets
    return {
        "metadata": _told(stack, server, {}),
        "spec": {
            "enableServiceLinks": False,
            "affinity": _apart(server),
            "containers": [
                {
                    "name": CONTAINER,
                    "imagePullPolicy": "IfNotPresent",
                    "resources": resources,
                    "readinessProbe": connects | {"periodSeconds": 2},
                    "livenessProbe": connects | {"periodSeconds": 20, "failureThreshold": 6},
                }
            ],
            "initContainers": [{"name": SETUP, "resources": resources}],
            **({"imagePullSecrets": [{"name": name} for name in pull_secrets]} if pull_secrets else {}),
        },
    }


def _told(stack: Stack, server: str, annotations: dict[str, str]) -> Json:
    """Return labels by which the stack knows it; who manages it is the operator's to say."""
    labels = names.labels(stack.key, names.pooler(server)).items() - names.MANAGED_BY.items()
    return {"labels": dict(sorted(labels)), **({"annotations": annotations} if annotations else {})}


def _apart(server: str) -> Json:
    """Return that its pods run on other nodes where there are such."""
    chosen = {"matchLabels": {names.POOLER_LABEL: names.pooler(server)}}
    term = {"labelSelector": chosen, "topologyKey": "kubernetes.io/hostname"}
    return {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]
        }
    }
