"""pgAdmin's page under a public name: an Ingress, or a route of a Gateway, that leads to its Service."""

from __future__ import annotations

from typing import Any

from keelson.settings.pgadmin import GatewaySettings, IngressSettings

SERVICE = "pgadmin"
ROUTE = {"api_version": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
Json = dict[str, Any]


def ingress(settings: IngressSettings) -> Json:
    """Return the spec of an Ingress."""
    backend = {"service": {"name": SERVICE, "port": {"name": "main"}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    tls = [{"hosts": [settings.host], "secretName": settings.tls_secret}]
    return {
        **({"ingressClassName": settings.class_name} if settings.class_name else {}),
        "rules": [{"host": settings.host, "http": {"paths": paths}}],
        **({"tls": tls} if settings.tls_secret else {}),
    }


def route(settings: GatewaySettings, port: int) -> Json:
    """Return the spec of an HTTPRoute."""
    return {
        "parentRefs": [{"name": settings.name, "namespace": settings.namespace}],
        "hostnames": [settings.host],
        "rules": [{"backendRefs": [{"name": SERVICE, "port": port}]}],
    }
