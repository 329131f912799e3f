"""When a job is due: a cron expression in a time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from keelson.errors import SettingsError

FIELDS = 5  # minute, hour, day of the month, month, day of the week


@dataclass(frozen=True)
class Schedule:
    """A cron expression of five fields, read in a time zone of the IANA database.

    In the night when clocks change, cronsim does what Debian's cron does: a job of a skipped hour runs right after it, and one
    of a repeated hour runs once, unless its hour is `*`.

    Raises:
        SettingsError: the expression or the time zone cannot be read, or no moment ever matches.
    """

    expression: str
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        _ = self.zone
        if len(self.expression.split()) != FIELDS:
            msg = f"the schedule {self.expression!r} cannot be read; write five fields such as '0 2 * * *'"
            raise SettingsError(msg)
        try:
            next(CronSim(self.expression, datetime(2000, 1, 1, tzinfo=UTC)))
        except CronSimError as fault:
            msg = f"the schedule {self.expression!r} cannot be read ({fault}); write five fields such as '0 2 * * *'"
            raise SettingsError(msg) from None
        except StopIteration:
            msg = f"the schedule {self.expression!r} never comes; write five fields such as '0 2 * * *'"
            raise SettingsError(msg) from None

    def after(self, moment: datetime) -> datetime:
        """Return the first moment, in UTC, that comes after `moment`."""
        return next(CronSim(self.expression, moment.astimezone(self.zone))).astimezone(UTC)

    def before(self, moment: datetime) -> datetime:
        """Return the last moment, in UTC, that came before `moment`."""
        return next(CronSim(self.expression, moment.astimezone(self.zone), reverse=True)).astimezone(UTC)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        try:
            return ZoneInfo(self.time_zone)
        except (ValueError, OSError, KeyError):
            msg = f"the time zone {self.time_zone!r} is not known; write a name such as UTC or Europe/Berlin"
            raise SettingsError(msg) from None
