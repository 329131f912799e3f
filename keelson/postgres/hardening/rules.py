"""The lines of pg_hba.conf: who is let in from where. The first line that fits a connection decides, so later ones may never be reached."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

REPLICATION = "replication"
ALL = "all"
BY_PASSWORD = frozenset({"scram-sha-256", "md5", "password"})  # methods that ask for what the server keeps of one
_PRIVATE = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
)  # RFC 1918, 4193
_LOOPBACKS = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "::1/128")))


@dataclass(frozen=True)
class Rule:
    """One line, as `pg_hba_file_rules` shows it."""

    line: int
    type: str
    databases: tuple[str, ...]
    users: tuple[str, ...]
    address: str
    netmask: str
    method: str
    error: str = ""

    @property
    def text(self) -> str:
        """The line for people."""
        mask = f"/{self.network.prefixlen}" if self.network else ""
        words = (self.type, ",".join(self.databases), ",".join(self.users), self.address + mask, self.method)
        return f"line {self.line} ({' '.join(word for word in words if word)})"

    @property
    def network(self) -> Network | None:
        """The addresses from which it lets in, where it names some."""
        try:
            return ipaddress.ip_network(
                f"{self.address}/{self.netmask}" if self.netmask else self.address, strict=False
            )
        except ValueError:
            return _ipv6(self.address, self.netmask)

    @property
    def is_remote(self) -> bool:
        """Whether another machine can use it."""
        if self.type == "local" or self.address == "samehost":
            return False
        return not any(_within(self.network, loopback) for loopback in _LOOPBACKS)

    @property
    def is_private(self) -> bool:
        """Whether no machine of the open internet can use it."""
        return not self.is_remote or any(_within(self.network, private) for private in _PRIVATE)

    @property
    def lets_in(self) -> bool:
        """Whether it lets anybody in."""
        return self.method != "reject" and not self.error

    def covers(self, other: Rule) -> bool:
        """Say whether each connection that fits the other line fits this one, too."""
        types = self.type == other.type or (self.type == "host" and other.type.startswith("host"))
        addresses = self.address in {ALL, other.address} and self.netmask in {"", other.netmask}
        networks = addresses or (self.network is not None and _within(other.network, self.network))
        return types and networks and _names(self.databases, other.databases) and _some(self.users, other.users)


def reached(rules: Sequence[Rule]) -> Iterator[Rule]:
    """Give the lines that decide about some connection: those that no earlier one covers."""
    for place, rule in enumerate(rules):
        parts = [
            replace(rule, databases=(name,), users=(user,))
            for name, user in itertools.product(rule.databases, rule.users)
        ]
        if not all(any(earlier.covers(part) for earlier in rules[:place]) for part in parts):
            yield rule


def of_user(rules: Sequence[Rule], user: str) -> Iterator[Rule]:
    """Give the lines that may decide about a connection of one user; a group's or a pattern's line may be about anybody."""
    for place, rule in enumerate(rules):
        if not any(name in {ALL, user} or name.startswith(("+", "/")) for name in rule.users):
            continue
        own = (replace(rule, users=(user,), databases=(name,)) for name in rule.databases)
        if not all(any(earlier.covers(part) for earlier in rules[:place]) for part in own):
            yield rule


def _names(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    """Say whether databases are among others; replication is a name of its own, which `all` does not mean."""
    return _some(wide, [name for name in narrow if name != REPLICATION]) and (
        REPLICATION not in narrow or REPLICATION in wide
    )


def _some(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    return ALL in wide or set(narrow) <= set(wide)


def _within(narrow: Network | None, wide: Network) -> bool:
    if isinstance(narrow, ipaddress.IPv4Network) and isinstance(wide, ipaddress.IPv4Network):
        return narrow.subnet_of(wide)
    if isinstance(narrow, ipaddress.IPv6Network) and isinstance(wide, ipaddress.IPv6Network):
        return narrow.subnet_of(wide)
    return False


def _ipv6(address: str, netmask: str) -> Network | None:
    """Read an address with a mask, which the library knows of IPv4 alone."""
    try:
        bits = int(ipaddress.IPv6Address(netmask)).bit_count()
        return ipaddress.IPv6Network(f"{address}/{bits}", strict=False)
    except ValueError:
        return None
