"""A numbered database of a Redis that can be connected to now."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from keelson.target import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisEndpoint:
    """Where it answers, as whom it is used, and which of its databases."""

    address: Address
    number: int
    user: str
    password: str = field(repr=False)

    def url(self) -> str:
        """Return the URL that all drivers read."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"redis://{login}@{self.address.host}:{self.address.port}/{self.number}"

    def options(self) -> list[str]:
        """Return redis-cli's options; the password goes by REDISCLI_AUTH."""
        place = ["-h", self.address.host, "-p", str(self.address.port), "-n", str(self.number)]
        return [*place, "--user", self.user, "--no-auth-warning"]
