"""A numbered database of a Redis that can be connected to now."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from keelson.target import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisEndpoint:
    """Where it answers, as whom it is used, and which of its databases."""

    address: Address
    number: int
    user: str
    password: str = field(repr=False)

    def url(self) -> str:
        """Return the URL that drivers read; what follows the `?` is in the words of redis-py, and so of Django and Celery."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        place = f"{login}@{self.address.host}:{self.address.port}/{self.number}"
        return f"rediss://{place}?{urlencode(_verified(self.address))}" if self.encrypted else f"redis://{place}"

    @property
    def encrypted(self) -> bool:
        """Whether it speaks TLS."""
        return self.address.encrypted or self.address.root_certificate is not None

    def options(self) -> list[str]:
        """Return redis-cli's options; the password goes by REDISCLI_AUTH."""
        return [*options(self.address, self.user), "-n", str(self.number)]


def options(address: Address, user: str) -> list[str]:
    """Return by which options redis-cli reaches a Redis; the password goes by REDISCLI_AUTH."""
    root = address.root_certificate
    tls = ["--tls", "--cacert", str(root)] if root else ["--tls", "--insecure"] if address.encrypted else []
    return ["-h", address.host, "-p", str(address.port), *tls, "--user", user, "--no-auth-warning"]


def _verified(address: Address) -> dict[str, str]:
    """Return what says how a server is verified; older releases of redis-py compare no names by themselves."""
    if address.root_certificate is None:
        return {"ssl_cert_reqs": "none"}
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": "true", "ssl_ca_certs": str(address.root_certificate)}
