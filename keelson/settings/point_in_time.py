"""Whether a server keeps an archive from which it is restored as it was at any moment, and how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from keelson.errors import SettingsError
from keelson.schedule import Schedule
from keelson.settings import archiving
from keelson.settings.backup import NEVER, WEEK, WEEKLY
from keelson.settings.model import AbsolutePath, Settings
from keelson.settings.quantities import Quantity, count_quantity

if TYPE_CHECKING:
    from keelson.settings.images import ImageName
    from keelson.settings.stack import StackSettings

Count = Annotated[int, Field(ge=1, le=1000)]
SHORTEST = 12  # characters of a passphrase


class PointInTimeSettings(Settings):
    """`keelson:point_in_time`: `true`, or what is to be other than usual beside `enabled`."""

    enabled: bool = False  # of every server that says nothing itself
    schedule: str = "0 1 * * *"
    time_zone: str = "UTC"
    full_every: Count = 7  # days; between two full backups each holds what changed since the one before
    keep_full: Count = 2
    drill: str = WEEKLY  # five fields, weekly or never: when a server is made of it, looked at, and thrown away
    waiting: Quantity = "4Gi"  # of the log that may wait for the archive before it is dropped
    encryption: Literal["AES256", "aws:kms", "bucket", "none"] | None = None  # on kubernetes, by the storage
    archive: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")] = (
        "1"  # on kubernetes: the name of all archives
    )
    directory: AbsolutePath | None = None  # None: as keelson:backup.directory says
    passphrase: SecretStr | None = None  # None: a generated one, kept on this machine

    @model_validator(mode="after")
    def _readable(self) -> Self:
        try:
            Schedule(self.schedule, self.time_zone)
            Schedule(self.drilled or WEEK, self.time_zone)
        except SettingsError as fault:
            raise ValueError(str(fault)) from None
        text = self.passphrase.get_secret_value() if self.passphrase else "x" * SHORTEST
        if len(text) < SHORTEST or not text.isprintable() or " " in text:
            msg = f"passphrase must have {SHORTEST} characters at least, and no blank"
            raise ValueError(msg)
        return self

    @property
    def drilled(self) -> str:
        """When it is drilled, as five fields; nothing where it is not."""
        return {WEEKLY: WEEK, NEVER: ""}.get(self.drill, self.drill)

    @property
    def waiting_bytes(self) -> int:
        """How much of the log may wait."""
        return count_quantity(self.waiting)


def switched(value: object) -> object:
    """Take `true` and `false` for what they switch."""
    words: dict[Any, bool] = {True: True, False: False, "true": True, "false": False}
    return {"enabled": words[value]} if isinstance(value, str | bool) and value in words else value


def is_archived(settings: StackSettings, server: str) -> bool:
    """Say whether a server keeps an archive."""
    own = settings.servers[server].point_in_time
    return settings.point_in_time.enabled if own is None else own


def faults(settings: StackSettings) -> Iterator[str]:
    """Give a sentence where the settings ask for what the target cannot do, or for an archive that nobody could read one day."""
    asked = [name for name in settings.servers if is_archived(settings, name)]
    if not asked:
        return
    if settings.target == "kubernetes":
        yield from archiving.faults(settings, asked)
        return
    if settings.target == "docker":
        yield from _faults_on_docker(settings, asked)
    if settings.protected and settings.point_in_time.passphrase is None:
        yield (
            f"'point_in_time' of {asked[0]} needs a passphrase that outlives this machine; set one: `pulumi config set --secret --path "
            "keelson:point_in_time.passphrase`"
        )


def _faults_on_docker(settings: StackSettings, asked: Sequence[str]) -> Iterator[str]:
    if settings.point_in_time.directory:
        yield "'point_in_time.directory' is for the target local; take it out for docker, where an archive lies on a volume of its own"
    for name in asked:
        image: ImageName = "timescaledb" if settings.servers[name].timescaledb else "postgres"
        if settings.docker.images == "official" and image not in settings.docker.image:
            yield (
                f"'point_in_time' of {name} needs an image that has pgBackRest, and the official one is not known to; set `images: debian` "
                f"below keelson:docker, or name an image of your own as `image.{image}` there"
            )
