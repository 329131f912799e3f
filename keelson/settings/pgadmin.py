"""What a stack says of pgAdmin: who logs in and how, and under which name its page is reached from outside a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, model_validator

from keelson.settings.model import Settings

if TYPE_CHECKING:
    from keelson.settings.stack import StackSettings

Host = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
Named = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
WITHOUT_TLS = frozenset({"dev", "test"})  # environments whose page may do without
LOOPBACK = frozenset({"127.0.0.1", "localhost"})


class IngressSettings(Settings):
    """An Ingress that leads to pgAdmin."""

    model_config = ConfigDict(populate_by_name=True)

    host: Host
    class_name: Annotated[Named | None, Field(alias="class")] = None  # None: the cluster's default
    tls_secret: Named | None = None
    annotations: dict[str, str] = Field(default_factory=dict)
    from_namespace: Namespace = "ingress-nginx"  # where the controller's pods are


class GatewaySettings(Settings):
    """A Gateway to which pgAdmin's HTTPRoute is attached; TLS is the Gateway's own."""

    host: Host
    name: Named
    namespace: Namespace


class OidcSettings(Settings):
    """Who may log in by OpenID Connect: everybody of some domains, or of some groups."""

    issuer: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")]
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: Annotated[SecretStr, Field(min_length=1)] | None = None  # None: a public client
    name: Annotated[str, Field(min_length=1, max_length=60)] = "Single sign-on"
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    allowed_domains: tuple[Host, ...] = ()
    allowed_groups: tuple[str, ...] = ()
    local_login: bool = False

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        found = urlsplit(self.issuer)
        if found.scheme != "https" and found.hostname not in LOOPBACK:
            msg = "'issuer' must begin with https://"
            raise ValueError(msg)
        if bool(self.allowed_domains) == bool(self.allowed_groups):
            msg = "give either 'allowed_domains' or 'allowed_groups', which say who may log in"
            raise ValueError(msg)
        if not {"openid", "email"} <= {*self.scopes}:
            msg = "'scopes' must hold openid and email"
            raise ValueError(msg)
        return self

    @property
    def port(self) -> int:
        """On which port the issuer is asked."""
        found = urlsplit(self.issuer)
        return found.port or {"https": 443, "http": 80}[found.scheme]


def faults(settings: StackSettings) -> Iterator[str]:
    """Give a sentence for each setting of pgAdmin's page and login that cannot be."""
    pgadmin, target = settings.pgadmin, settings.target
    for name, given in (("ingress", pgadmin.ingress), ("gateway", pgadmin.gateway)):
        if given and target != "kubernetes":
            yield f"the setting 'keelson:pgadmin.{name}' needs the target kubernetes; take it out for {target}"
    if pgadmin.ingress and pgadmin.gateway:
        yield "the settings 'keelson:pgadmin.ingress' and 'keelson:pgadmin.gateway' exclude each other; take one out"
    if pgadmin.ingress and not pgadmin.ingress.tls_secret and settings.environment not in WITHOUT_TLS:
        yield (
            f"the setting 'keelson:pgadmin.ingress' has no 'tls_secret', and passwords would pass in clear in {settings.environment}; "
            "name a Secret with a certificate"
        )
    if pgadmin.oidc and target == "kubernetes" and not pgadmin.url:
        yield "the setting 'keelson:pgadmin.oidc' needs an address to which the issuer sends people back; set 'ingress' or 'gateway' too"
