"""A Redis of several instances, as containers: one of Redis and one of Sentinel for each instance, and one of HAProxy.

| file | holds |
|---|---|
| `members` | how many instances there are, and which, for the scripts, and how these reach them |
| `replication.conf` | what Redis's configuration has beside that of a single one |
| `sentinel.conf`, `watched.conf` | the settings of a sentinel, and of what it watches |
| `sentinel.password` | by which scripts ask it, and which it gives Redis |
| `proxy.cfg` | HAProxy's configuration |
| `*.sh` | what is run |
| data: `sentinel/<formation>/` | what the sentinel beside an instance knows, and whether that instance ever had data |

A formation is the time from when a Redis gets others beside it until it is alone again. What a sentinel remembers of an earlier one
counts no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from keelson.containers import alone
from keelson.containers.model import CONFIG, ContainerSettings, Healthcheck, Memory, Mount
from keelson.containers.redis import DATA, SAVE_SECONDS, verified
from keelson.redis import server
from keelson.redis.users import hashed

PORT = 6379
SENTINEL_PORT = 26379
USERS = "/etc/keelson-users"
PROXY_FILES = ("proxy.cfg", "proxy.sh")  # and what instances are verified against
PROXY_COMMAND = ("sh", f"{CONFIG}/proxy.sh")
INSTANCE = "KEELSON_INSTANCE"  # the variable that names it
LAG = 5  # seconds that a replica may be silent until it does not count
DOWN = 3000  # milliseconds of a master's silence after which another one is chosen
FAILOVER = 10_000  # milliseconds that a choice may take until it is tried again
BACKLOG = "16mb"  # of changes, which a replica that comes back need not ask for anew
SECONDS_TO_JOIN = 600  # until it listens: an instance first asks the others who the master is
SECONDS_TO_HAND_OVER = 60
SCRIPTS = ("common", "instance", "serve", "sentinel", "handover", "proxy")


@dataclass(frozen=True)
class Formation:
    """The instances of one Redis.

    Attributes:
        part: its name.
        hosts: theirs, the first one first.
        id: random digits.
        passwords: of those as whom they work together.
        tls: the oldest version of TLS that they speak; empty where they speak none.
    """

    part: str
    hosts: Sequence[str]
    id: str
    passwords: Mapping[str, str]
    tls: str = ""

    @property
    def majority(self) -> int:
        """How many must agree."""
        return len(self.hosts) // 2 + 1


def instance(single: ContainerSettings, host: str) -> ContainerSettings:
    """Return what the container of an instance is like, from that of a single Redis."""
    check = replace(single.healthcheck, start_period=SECONDS_TO_JOIN) if single.healthcheck else None
    return replace(
        single,
        command=alone.alone(DATA, "sh", f"{CONFIG}/instance.sh"),
        environment={**single.environment, INSTANCE: host},
        healthcheck=check,
        stop_timeout=SAVE_SECONDS + SECONDS_TO_HAND_OVER,
    )


def sentinel(host: str, tls: str = "") -> ContainerSettings:
    """Return what the container of the sentinel beside it is like."""
    return ContainerSettings(
        command=("sh", f"{CONFIG}/sentinel.sh"),
        environment={INSTANCE: host},
        volumes={"config": Mount(CONFIG, read_only=True), "data": Mount(DATA)},
        networks=("product",),
        memory={"/tmp": Memory(16)},  # noqa: S108 - inside the container
        healthcheck=Healthcheck(("sh", "-c", _sentinel_health(tls))),
    )


def proxy() -> ContainerSettings:
    """Return what the container of a proxy is like, whose image is one of HAProxy."""
    return ContainerSettings(
        volumes={"config": Mount(CONFIG, read_only=True)},
        networks=("product",),
        memory={"/tmp": Memory(1)},  # noqa: S108 - inside the container
        stop_timeout=15,
    )


def files(formation: Formation) -> Mapping[str, str]:
    """Return what the containers read beside the files of a single Redis."""
    here = Path(__file__).parent
    return {
        "members": _members(formation),
        "replication.conf": _lines(
            {
                "masteruser": "replica",
                "masterauth": formation.passwords["replica"],
                "min-replicas-to-write": 1,
                "min-replicas-max-lag": LAG,
                "repl-backlog-size": BACKLOG,
                **({"tls-replication": "yes"} if formation.tls else {}),
            }
        ),
        "sentinel.conf": _sentinel(formation),
        "watched.conf": "".join(
            f"sentinel set {formation.part} {name} {value}\n" for name, value in watched(formation).items()
        ),
        "sentinel.password": formation.passwords["sentinel"],
        "proxy.cfg": _proxy(formation),
        **{f"{name}.sh": (here / f"{name}.sh").read_text(encoding="utf-8") for name in SCRIPTS},
    }


def watched(formation: Formation) -> dict[str, str]:
    """Return what a sentinel knows of the master that it watches."""
    return {
        "auth-user": "sentinel",
        "auth-pass": formation.passwords["sentinel"],
        "down-after-milliseconds": str(DOWN),
        "failover-timeout": str(FAILOVER),
        "parallel-syncs": "1",
    }


def _members(formation: Formation) -> str:
    values = {
        "part": formation.part,
        "members": " ".join(formation.hosts),
        "first": formation.hosts[0],
        "count": len(formation.hosts),
        "majority": formation.majority,
        "formation": formation.id,
        "tls": verified(formation.tls),
    }
    return "".join(f"{name}='{value}'\n" for name, value in values.items())


def _sentinel_health(tls: str) -> str:
    return (
        f'export REDISCLI_AUTH="$(cat {CONFIG}/sentinel.password)"; '
        f'[ "$(redis-cli -p {SENTINEL_PORT}{verified(tls)} --user sentinel --no-auth-warning ping)" = PONG ]'
    )


def _sentinel(formation: Formation) -> str:
    password = formation.passwords["sentinel"]
    listens = server.listening(SENTINEL_PORT, {server.TLS: formation.tls}, CONFIG)
    encrypted = {"tls-replication": "yes"} if formation.tls else {}
    return _lines(listens | encrypted) + (
        f"bind * -::*\ndir /tmp\nprotected-mode no\n"
        f"user default reset\nuser sentinel reset on {hashed(password)} ~* &* +@all\n"
        f"sentinel announce-port {SENTINEL_PORT}\n"
        f"sentinel sentinel-user sentinel\nsentinel sentinel-pass {password}\n"
    )


def _proxy(formation: Formation) -> str:
    """Return HAProxy's configuration: the master is the one with replicas; one without any serves reads where there is no other."""
    backends = "".join(
        _backend(formation, name, expected)
        for name, expected in (
            ("master", r"role:master[[:space:]]+connected_slaves:[1-9]"),
            ("alone", "role:master"),
        )
    )
    return f"""\
global
    log stdout format raw daemon notice
    maxconn 5000
    no strict-limits
defaults
    mode tcp
    log global
    option clitcpka
    option srvtcpka
    timeout connect 1s
    timeout check 1s
    timeout client 24d
    timeout server 24d
frontend redis
    bind :{PORT}
    use_backend alone if {{ nbsrv(master) lt 1 }}
    default_backend master
{backends}"""


def _backend(formation: Formation, name: str, expected: str) -> str:
    tls = f" check-ssl verify required ca-file {CONFIG}/ca.crt" if formation.tls else ""
    as_servers_say = " default" if formation.tls else ""  # without it a check that connects by itself does so in clear
    servers = "".join(f"    server {host} {host}:{PORT} check{tls}\n" for host in formation.hosts)
    password = formation.passwords["proxy"]
    return f"""\
backend {name}
    option tcp-check
    tcp-check connect{as_servers_say}
    tcp-check send "AUTH proxy {password}\\r\\n"
    tcp-check expect string +OK
    tcp-check send "INFO replication\\r\\n"
    tcp-check expect rstring "{expected}"
    default-server inter 1s fastinter 250ms downinter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}"""


def _lines(values: Mapping[str, object]) -> str:
    return "".join(f"{name} {value}\n" for name, value in values.items())
