"""A Redis in a container.

| volume | file | holds |
|---|---|---|
| config | `redis.conf`, `start.sh` | its configuration, and what is run |
| config | `platform.acl` | the platform's users, which each start puts in place of those of `users.acl` |
| config | `log.conf` | whether a new Redis keeps a log of changes |
| config | `monitor.password` | of the login that the health check uses |
| data | `users.acl` | all users; Redis itself replaces it when one is changed |
| data | `log.conf` | what a start reads: the log of changes, or the snapshot |
| data | `dump.rdb`, `appendonlydir` | the snapshot, and the log of changes |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from keelson.docker import answers, names, toolbox
from keelson.docker.part import ContainerSettings, Healthcheck, Mount, PartSpec
from keelson.docker.toolbox import File
from keelson.errors import ServerError
from keelson.redis import server
from keelson.redis.server import ACCESS_LIST, ADMINISTRATOR, BUSY_SECONDS, LOG, Door
from keelson.redis.users import LOGINS
from keelson.target import target

if TYPE_CHECKING:
    from docker.models.containers import Container

PORT = 6379
DATA = "/data"
LOG_CHOICE = "log.conf"
PASSWORD_FILE = "monitor.password"  # noqa: S105 - a file's name
MONITOR = "monitor"
PLACE = {
    "bind": "* -::*",
    "port": str(PORT),
    "protected-mode": "yes",
    "dir": DATA,
    "aclfile": f"{DATA}/{ACCESS_LIST}",
    "include": f"{DATA}/{LOG_CHOICE}",
}
# The password stands in the environment of one short process, and in no command line.
HEALTH = (
    f'export REDISCLI_AUTH="$(cat {names.CONFIG}/{PASSWORD_FILE})"; '
    f'[ "$(redis-cli --user {MONITOR} --no-auth-warning ping)" = PONG ]'
)
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
    """What is particular to Redis; see `keelson.docker.part.Kind` for what each method is for."""

    logins: ClassVar[tuple[str, ...]] = LOGINS
    listens_on = PORT

    def check(self, spec: PartSpec) -> None:
        """Nothing is left to check: the settings were checked where they were read."""

    def before(self, spec: PartSpec, image_id: str) -> tuple[str, ...]:  # noqa: ARG002 - the interface of a kind
        """Do nothing: Redis reads what earlier versions wrote, and itself refuses what it cannot read."""
        return ()

    def container(self, spec: PartSpec) -> ContainerSettings:
        """Return what its container is like; the script puts the platform's users in place and becomes Redis."""
        return ContainerSettings(
            command=("sh", f"{names.CONFIG}/start.sh"),
            volumes={
                names.config_volume(spec.key, spec.name): Mount(names.CONFIG, read_only=True),
                names.data_volume(spec.key, spec.name): Mount(DATA),
            },
            networks=(names.network(spec.key),),
            tmpfs={"/tmp": "rw,noexec,nosuid,nodev,size=16m"},  # noqa: S108 - inside the container
            healthcheck=Healthcheck(("sh", "-c", HEALTH)),
            stop_timeout=SAVE_SECONDS,
        )

    def files(self, spec: PartSpec) -> Mapping[str, Mapping[str, File]]:
        """Return configuration, users and script."""
        passwords = _passwords(spec)
        choice = server.log_options(read=bool(spec.settings["append_only"]))
        texts = {
            "redis.conf": server.configuration(PLACE, spec.settings),
            "platform.acl": server.access_list(passwords),
            LOG_CHOICE: "".join(f"{name} {value}\n" for name, value in choice.items()),
            PASSWORD_FILE: passwords[MONITOR],
            "start.sh": Path(__file__).with_name("redis.sh").read_text(encoding="utf-8"),
        }
        return {names.config_volume(spec.key, spec.name): {name: spec.file(text) for name, text in texts.items()}}

    def bring(self, spec: PartSpec) -> tuple[str, ...]:
        """Wait until it has loaded its data, and set all that it takes while it runs.

        Only one that refuses its administrator starts anew, with the passwords of the stack.
        """
        _await(spec)
        if not self._update(spec):
            answers.restart(spec, SAVE_SECONDS)
            _await(spec)
            if not self._update(spec):
                msg = f"{spec.name} refuses the password of its administrator; see `keelson logs {spec.name}`"
                raise ServerError(msg)
        return ()

    @staticmethod
    def _update(spec: PartSpec) -> bool:
        log = _Log(answers.container(spec))
        return server.bring(_door(spec), spec.settings, _passwords(spec), log)


@dataclass(frozen=True)
class _Log:
    """See `keelson.redis.server.LogOfChanges`: what a start reads stands in a file of its own on the data's volume."""

    container: Container

    def is_read(self) -> bool:
        """Return what stands in the file; the script writes it before the first start."""
        return "appendonly yes" in answers.run(self.container, "cat", f"{DATA}/{LOG_CHOICE}").splitlines()

    def choose(self, *, read: bool) -> None:
        """Replace the file in one step."""
        lines = [f"{name} {value}" for name, value in server.log_options(read=read).items()]
        answers.run(self.container, "sh", "-c", CHOOSE, "choose", *lines)

    def remove(self) -> None:
        """Remove the log's directory."""
        answers.run(self.container, "rm", "-rf", f"{DATA}/{LOG}")


def _await(spec: PartSpec) -> None:
    """Wait until it answers, or refuses the password, which a new start puts right."""

    def fault() -> str:
        found = server.fault(_door(spec))
        return "" if found == server.REFUSALS["WRONGPASS"] else found

    answers.wait(spec, fault, BUSY_SECONDS, server.reason)


def _passwords(spec: PartSpec) -> dict[str, str]:
    return {login: _password(spec, login) for login in LOGINS}


def _password(spec: PartSpec, login: str) -> str:
    return str(toolbox.ask(spec.place, spec.key, "password", server=spec.name, role=login))


def _door(spec: PartSpec) -> Door:
    address = target(spec.place).locate(spec.key, spec.name)
    return Door(spec.name, address.host, address.port, _password(spec, ADMINISTRATOR))
