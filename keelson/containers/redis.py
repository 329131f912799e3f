"""A Redis in a container.

| volume | file | holds |
|---|---|---|
| config | `redis.conf`, `start.sh` | its configuration, and what is run |
| config | `server.crt`, `server.key`, `ca.crt` | its certificate, where connections are encrypted |
| config | `platform.acl` | the platform's users, which each start puts in place of those of `users.acl` |
| config | `log.conf` | whether a new Redis keeps a log of changes |
| config | `monitor.password` | of the login that the health check uses |
| data | `users.acl` | all users; Redis itself replaces it when one is changed |
| data | `log.conf` | what a start reads: the log of changes, or the snapshot |
| data | `dump.rdb`, `appendonlydir` | the snapshot, and the log of changes |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from keelson.containers import alone, state
from keelson.containers.model import CONFIG, ContainerSettings, Healthcheck, Memory, Mount, PartSpec
from keelson.redis import server
from keelson.redis.server import ACCESS_LIST, ADMINISTRATOR, LOG, TLS, Door
from keelson.redis.users import INNER_RIGHTS, LOGINS
from keelson.target import target

PORT = 6379
DATA = "/data"
LOG_CHOICE = "log.conf"
PASSWORD_FILE = "monitor.password"  # noqa: S105 - a file's name
MONITOR = "monitor"
PLACE = {
    "bind": "* -::*",
    "protected-mode": "yes",
    "dir": DATA,
    "aclfile": f"{DATA}/{ACCESS_LIST}",
    "include": f"{DATA}/{LOG_CHOICE}",
}
CHOOSE = f"""
set -eu
umask 077
printf '%s\\n' "$@" >{DATA}/{LOG_CHOICE}.new
sync {DATA}/{LOG_CHOICE}.new
mv {DATA}/{LOG_CHOICE}.new {DATA}/{LOG_CHOICE}
sync {DATA}
"""
SAVE_SECONDS = 120  # that a snapshot may take at a stop


class RedisKind:
    """What is particular to Redis; see `keelson.containers.kinds.Kind` for what each method is for."""

    logins: ClassVar[tuple[str, ...]] = LOGINS
    listens_on = PORT

    def check(self, spec: PartSpec) -> None:
        """Nothing is left to check: the settings were checked where they were read."""

    def container(self, spec: PartSpec) -> ContainerSettings:
        """Return what its container is like; the script puts the platform's users in place and becomes Redis."""
        return ContainerSettings(
            command=alone.alone(DATA, "sh", f"{CONFIG}/start.sh"),
            volumes={"config": Mount(CONFIG, read_only=True), "data": Mount(DATA)},
            networks=("product",),
            memory={"/tmp": Memory(16)},  # noqa: S108 - inside the container
            healthcheck=Healthcheck(("sh", "-c", health(spec))),
            stop_timeout=SAVE_SECONDS,
        )

    def files(self, spec: PartSpec) -> Mapping[str, str]:
        """Return configuration, users and script."""
        known = passwords(spec)
        choice = server.log_options(read=bool(spec.settings["append_only"]))
        return {
            "redis.conf": server.configuration(PLACE | listening(spec), spec.settings),
            "platform.acl": server.access_list(known),
            LOG_CHOICE: "".join(f"{name} {value}\n" for name, value in choice.items()),
            PASSWORD_FILE: known[MONITOR],
            **_certificate(spec),
            **alone.files(),
            "start.sh": Path(__file__).with_name("redis.sh").read_text(encoding="utf-8"),
        }


@dataclass(frozen=True)
class Log:
    """See `keelson.redis.server.LogOfChanges`: what a start reads stands in a file of its own on the data's volume.

    `run` runs a command in the container and returns its output.
    """

    run: Callable[..., str]

    def is_read(self) -> bool:
        """Return what stands in the file; the script writes it before the first start."""
        return "appendonly yes" in self.run("cat", f"{DATA}/{LOG_CHOICE}").splitlines()

    def choose(self, *, read: bool) -> None:
        """Replace the file in one step."""
        lines = [f"{name} {value}" for name, value in server.log_options(read=read).items()]
        self.run("sh", "-c", CHOOSE, "choose", *lines)

    def remove(self) -> None:
        """Remove the log's directory."""
        self.run("rm", "-rf", f"{DATA}/{LOG}")


def listening(spec: PartSpec) -> dict[str, str]:
    """Return the options that say where it listens, and by which certificate it proves who it is."""
    return server.listening(PORT, spec.settings, CONFIG)


def verified(tls: str) -> str:
    """Return by which options redis-cli, in a container, reaches what speaks TLS from this version on; nothing where that is empty."""
    return f" --tls --cacert {CONFIG}/ca.crt" if tls else ""


def health(spec: PartSpec) -> str:
    """Return what asks whether it answers; the password stands in the environment of one short process, and in no command line."""
    return (
        f'export REDISCLI_AUTH="$(cat {CONFIG}/{PASSWORD_FILE})"; '
        f'[ "$(redis-cli{verified(spec.settings.get(TLS, ""))} --user {MONITOR} --no-auth-warning ping)" = PONG ]'
    )


def update(spec: PartSpec, run: Callable[..., str]) -> bool:
    """Set all that it takes while it runs; False where only a new start makes it known to its administrator."""
    return server.bring(door(spec), spec.settings, passwords(spec), Log(run), listening(spec))


def fault(spec: PartSpec) -> str:
    """Return why it does not answer; to refuse the password, or show an old certificate, which a new start puts right, is an answer."""
    found = server.fault(door(spec))
    return "" if found in {server.REFUSALS["WRONGPASS"], server.UNVERIFIED} else found


def passwords(spec: PartSpec) -> dict[str, str]:
    """Return the passwords of the platform's users, with those by which several instances work together where there are several."""
    inner = INNER_RIGHTS if spec.settings.get("instances", 1) > 1 else ()
    return {login: state.password(spec, login) for login in (*LOGINS, *inner)}


def door(spec: PartSpec) -> Door:
    """Return how its administrator reaches it now."""
    address = target(spec.place).locate(spec.key, spec.name)
    return Door(spec.name, address, state.password(spec, ADMINISTRATOR))


def _certificate(spec: PartSpec) -> Mapping[str, str]:
    if not spec.settings.get(TLS):
        return {}
    found: dict[str, str] = state.ask(spec.place, spec.key, "certificate", server=spec.name, names=[*spec.known_as])
    return found
