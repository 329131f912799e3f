"""When a job is due: a cron expression in a time zone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from keelson.errors import SettingsError

FIELDS = 5  # minute, hour, day of the month, month, day of the week
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Schedule:
    """A cron expression of five fields, read in a time zone of the IANA database.

    In the night when clocks change it does what Debian's cron does (its manual, cron(8)): a job of a skipped hour runs at the
    moment of the change, and one of a repeated hour runs once, the first time. A job whose minute or hour begins with `*`
    follows the clock on the wall: it does not run in a skipped hour, and runs twice in a repeated one. With `by_the_wall` every
    job does, as those of Kubernetes do.

    cronsim counts on a calendar without time zones here; what the zone makes of that is decided in `_moments`, because its own
    reading of zones misses minutes where clocks change by half an hour, and in a repeated hour goes back in time.

    Raises:
        SettingsError: the expression or the time zone cannot be read, or no moment ever matches.
    """

    expression: str
    time_zone: str = "UTC"
    by_the_wall: bool = False

    def __post_init__(self) -> None:
        _ = self.zone
        if len(self.expression.split()) != FIELDS:
            msg = f"the schedule {self.expression!r} cannot be read; write five fields such as '0 2 * * *'"
            raise SettingsError(msg)
        try:
            next(CronSim(self.expression, datetime(2000, 1, 1)))  # noqa: DTZ001 - a calendar without a zone
        except CronSimError as fault:
            msg = f"the schedule {self.expression!r} cannot be read ({fault}); write five fields such as '0 2 * * *'"
            raise SettingsError(msg) from None
        except StopIteration:
            msg = f"the schedule {self.expression!r} never comes; write five fields such as '0 2 * * *'"
            raise SettingsError(msg) from None

    def after(self, moment: datetime) -> datetime:
        """Return the first moment, in UTC, that comes after `moment`."""
        shift, best = self._shift(moment), None
        for wall in CronSim(self.expression, self._wall(moment) - shift - SECOND):
            if best and wall > self._wall(best) + shift:
                break
            found = [each for each in self._moments(wall) if each > moment]
            best = min([*found, *([best] if best else [])], default=None)
        return _required(best)

    def before(self, moment: datetime) -> datetime:
        """Return the last moment, in UTC, that came before `moment`."""
        shift, best = self._shift(moment), None
        for wall in CronSim(self.expression, self._wall(moment) + shift + SECOND, reverse=True):
            if best and wall < self._wall(best) - shift:
                break
            found = [each for each in self._moments(wall) if each < moment]
            best = max([*found, *([best] if best else [])], default=None)
        return _required(best)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        try:
            return ZoneInfo(self.time_zone)
        except (ValueError, OSError, KeyError):
            msg = f"the time zone {self.time_zone!r} is not known; write a name such as UTC or Europe/Berlin"
            raise SettingsError(msg) from None

    @property
    def _follows_the_wall(self) -> bool:
        minute, hour, *_ = self.expression.split()
        return self.by_the_wall or minute.startswith("*") or hour.startswith("*")

    def _wall(self, moment: datetime) -> datetime:
        """Return what the clock on the wall shows, without its zone."""
        return moment.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def _shift(self, moment: datetime) -> timedelta:
        """Return by how much clocks change within a day of `moment`: as far the order of walls may differ from that of time."""
        offsets = [_offset(each.astimezone(self.zone)) for each in (moment - DAY, moment, moment + DAY)]
        return max(offsets) - min(offsets)

    def _moments(self, wall: datetime) -> Iterator[datetime]:
        """Yield the moments, in UTC, that a time on the wall stands for: none or one if it is skipped, one or two if repeated."""
        first, second = (wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if first == second:
            yield first
        elif self._wall(first) == wall:
            yield first
            if self._follows_the_wall:
                yield second
        elif not self._follows_the_wall:
            yield self._change(second, first)

    def _change(self, low: datetime, high: datetime) -> datetime:
        """Return the moment between two at which the clocks change."""
        before = _offset(low.astimezone(self.zone))
        while high - low > SECOND:
            middle = low + (high - low) // SECOND // 2 * SECOND
            if _offset(middle.astimezone(self.zone)) == before:
                low = middle
            else:
                high = middle
        return high


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta()


def _required(found: datetime | None) -> datetime:
    if found is None:
        msg = "a schedule that came once comes again within the 50 years that cronsim looks ahead"
        raise AssertionError(msg)
    return found
