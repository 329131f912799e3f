"""When a schedule is due, with the figures of real time zones. Times are written as local times with their offset."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from keelson.errors import SettingsError
from keelson.schedule import Schedule

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _due(expression: str, zone: str, begin: str, end: str) -> list[str]:
    """All due moments between two, as a clock on the wall shows them."""
    schedule, moment, found = Schedule(expression, zone), _at(begin), []
    while (moment := schedule.after(moment)) < _at(end):
        found.append(moment.astimezone(schedule.zone).strftime("%d %H:%M%z"))
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "begin", "end", "due"),
    [
        # 29 March 2026, 02:00 CET becomes 03:00 CEST
        ("30 2 * * *", BERLIN, "2026-03-28T00:00Z", "2026-03-30T12:00Z", ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]),
        ("0 2 * * *", BERLIN, "2026-03-28T12:00Z", "2026-03-29T22:00Z", ["29 03:00+0200"]),
        ("0 3 * * *", BERLIN, "2026-03-28T12:00Z", "2026-03-29T22:00Z", ["29 03:00+0200"]),
        ("15,45 2,3 * * *", BERLIN, "2026-03-28T12:00Z", "2026-03-29T22:00Z", ["29 03:00+0200", "29 03:15+0200", "29 03:45+0200"]),
        ("0 * * * *", BERLIN, "2026-03-28T23:30Z", "2026-03-29T02:30Z", ["29 01:00+0100", "29 03:00+0200", "29 04:00+0200"]),
        # 25 October 2026, 03:00 CEST becomes 02:00 CET
        ("30 2 * * *", BERLIN, "2026-10-24T00:00Z", "2026-10-26T12:00Z", ["24 02:30+0200", "25 02:30+0200", "26 02:30+0100"]),
        ("0 2,3 * * *", BERLIN, "2026-10-24T12:00Z", "2026-10-25T22:00Z", ["25 02:00+0200", "25 03:00+0100"]),
        ("0 * * * *", BERLIN, "2026-10-24T23:30Z", "2026-10-25T02:30Z", ["25 02:00+0200", "25 02:00+0100", "25 03:00+0100"]),
        ("*/30 2 * * *", BERLIN, "2026-10-24T12:00Z", "2026-10-25T22:00Z", ["25 02:00+0200", "25 02:30+0200", "25 02:00+0100", "25 02:30+0100"]),
        # 8 March 2026, 02:00 EST becomes 03:00 EDT; 1 November 2026, 02:00 EDT becomes 01:00 EST
        ("30 2 * * *", NEW_YORK, "2026-03-07T12:00Z", "2026-03-10T00:00Z", ["08 03:00-0400", "09 02:30-0400"]),
        ("30 1 * * *", NEW_YORK, "2026-10-31T12:00Z", "2026-11-03T00:00Z", ["01 01:30-0400", "02 01:30-0500"]),
        ("45 * * * *", NEW_YORK, "2026-11-01T04:30Z", "2026-11-01T07:00Z", ["01 00:45-0400", "01 01:45-0400", "01 01:45-0500"]),
        # 4 October 2026, 02:00 +10:30 becomes 02:30 +11; 5 April 2026, 02:00 +11 becomes 01:30 +10:30
        ("15 2 * * *", LORD_HOWE, "2026-10-02T20:00Z", "2026-10-05T00:00Z", ["04 02:30+1100", "05 02:15+1100"]),
        ("45 2 * * *", LORD_HOWE, "2026-10-03T00:00Z", "2026-10-04T12:00Z", ["04 02:45+1100"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04T00:00Z", "2026-04-05T20:00Z", ["05 01:45+1100", "06 01:45+1030"]),
        ("0,40 * * * *", LORD_HOWE, "2026-04-04T14:00Z", "2026-04-04T16:00Z", ["05 01:40+1100", "05 01:40+1030", "05 02:00+1030"]),
        ("*/20 3 * * *", LORD_HOWE, "2026-10-03T00:00Z", "2026-10-04T00:00Z", ["04 03:00+1100", "04 03:20+1100", "04 03:40+1100"]),
        # a whole day that never was: Samoa went from 29 to 31 December 2011
        ("0 5 30 * *", "Pacific/Apia", "2011-12-01T00:00Z", "2012-02-01T00:00Z", ["31 00:00+1400", "30 05:00+1400"]),
        # midnight that never was
        ("0 0 * * *", "America/Santiago", "2026-09-05T12:00Z", "2026-09-07T12:00Z", ["06 01:00-0300", "07 00:00-0300"]),
    ],
)  # fmt: skip
def test_what_is_due_while_clocks_change(expression: str, zone: str, begin: str, end: str, due: list[str]) -> None:
    assert _due(expression, zone, begin, end) == due


@pytest.mark.parametrize(
    ("expression", "zone", "begin", "end", "due"),
    [  # what the library says that Kubernetes' controller uses (robfig/cron 3.0.1)
        ("30 2 * * *", BERLIN, "2026-03-28T00:00Z", "2026-03-30T12:00Z", ["2026-03-28T01:30Z", "2026-03-30T00:30Z"]),
        ("30 2 * * *", BERLIN, "2026-10-24T12:00Z", "2026-10-26T12:00Z", ["2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-26T01:30Z"]),
        ("0 1,3 * * *", NEW_YORK, "2026-03-07T12:00Z", "2026-03-08T12:00Z", ["2026-03-08T06:00Z", "2026-03-08T07:00Z"]),
        ("0 0 * * *", "America/Santiago", "2026-09-05T12:00Z", "2026-09-07T12:00Z", ["2026-09-07T03:00Z"]),
    ],
)  # fmt: skip
def test_a_cron_job_is_due_whenever_the_wall_shows_it(
    expression: str, zone: str, begin: str, end: str, due: list[str]
) -> None:
    schedule, moment, found = Schedule(expression, zone, by_the_wall=True), _at(begin), []
    while (moment := schedule.after(moment)) < _at(end):
        found.append(moment)
    assert found == [_at(each) for each in due]
    assert [schedule.before(each + timedelta(seconds=1)) for each in found] == found


@pytest.mark.parametrize(
    ("expression", "begin", "due"),
    [
        ("0 2 29 2 *", "2026-01-01T00:00Z", "2028-02-29T02:00Z"),
        ("0 2 29 2 *", "2096-03-01T00:00Z", "2104-02-29T02:00Z"),  # 2100 is no leap year
        ("0 0 31 * *", "2026-04-01T00:00Z", "2026-05-31T00:00Z"),
        ("0 0 13 * 5", "2026-03-02T00:00Z", "2026-03-06T00:00Z"),  # the 13th or a Friday
        ("0 0 1-7 * */7", "2026-03-02T00:00Z", "2026-04-05T00:00Z"),  # with a star both: the first Sunday
        ("0 0 * * 0", "2026-03-02T00:00Z", "2026-03-08T00:00Z"),
        ("0 0 * * 7", "2026-03-02T00:00Z", "2026-03-08T00:00Z"),
        ("0 0 * * SUN", "2026-03-02T00:00Z", "2026-03-08T00:00Z"),
        ("0 0 L * *", "2028-02-02T00:00Z", "2028-02-29T00:00Z"),
        ("*/7 * * * *", "2026-03-02T00:56Z", "2026-03-02T01:00Z"),
        ("0 2 * * *", "2026-03-02T02:00Z", "2026-03-03T02:00Z"),
        ("0 2 * * *", "2026-03-02T01:59:59.999999Z", "2026-03-02T02:00Z"),
    ],
)
def test_days_months_and_leap_years(expression: str, begin: str, due: str) -> None:
    assert Schedule(expression).after(_at(begin)) == _at(due)


@pytest.mark.parametrize(
    ("expression", "zone", "now", "due"),
    [
        ("0 2 * * *", "UTC", "2026-03-02T02:00Z", "2026-03-01T02:00Z"),
        ("0 2 * * *", "UTC", "2026-03-02T02:00:00.000001Z", "2026-03-02T02:00Z"),
        ("30 2 * * *", BERLIN, "2026-03-29T01:00:00Z", "2026-03-28T01:30Z"),
        ("30 2 * * *", BERLIN, "2026-03-29T01:00:01Z", "2026-03-29T01:00Z"),
        ("30 2 * * *", BERLIN, "2026-10-25T01:10Z", "2026-10-25T00:30Z"),  # 02:10, the second time
        ("30 * * * *", BERLIN, "2026-10-25T01:10Z", "2026-10-25T00:30Z"),
        ("30 * * * *", BERLIN, "2026-10-25T01:40Z", "2026-10-25T01:30Z"),
        ("*/40 2 25 10 *", BERLIN, "2027-10-24T12:00Z", "2026-10-25T01:40Z"),
    ],
)
def test_what_was_due_last(expression: str, zone: str, now: str, due: str) -> None:
    assert Schedule(expression, zone).before(_at(now)) == _at(due)


def _expressions(chance: random.Random) -> list[str]:
    minutes = ["0", "30", "15,45", "*/20", "*", "59"]
    hours = ["0", "1", "2", "3", "*/2", "*", "1-3", "23"]
    days = ["*", "25", "*/2", "L"]
    return [f"{chance.choice(minutes)} {chance.choice(hours)} {chance.choice(days)} * *" for _ in range(40)]


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE, "America/Santiago", "Africa/Casablanca", "UTC"])
def test_before_and_after_agree_around_every_change_of_clocks(zone: str) -> None:
    chance = random.Random(42)
    for expression in _expressions(chance):
        schedule = Schedule(expression, zone)
        for change in ("2026-03-29T01:00Z", "2026-10-25T01:00Z", "2026-03-08T07:00Z", "2026-11-01T06:00Z", "2026-10-03T15:30Z", "2026-04-04T15:00Z"):  # fmt: skip
            moment = _at(change) + timedelta(seconds=chance.randint(-10_000, 10_000))
            nxt, last = schedule.after(moment), schedule.before(moment)
            assert last < moment < nxt
            assert schedule.after(nxt - timedelta(microseconds=1)) == nxt
            assert schedule.before(nxt + timedelta(microseconds=1)) == nxt
            assert schedule.before(nxt) in (last, moment)
            assert schedule.after(last) in (nxt, moment)


@pytest.mark.parametrize("zone", [BERLIN, LORD_HOWE])
def test_a_job_that_follows_the_wall_is_due_whenever_the_wall_shows_it(zone: str) -> None:
    schedule = Schedule("*/10 1-3 * * *", zone)
    for begin in ("2026-03-28T18:00Z", "2026-10-24T18:00Z", "2026-10-03T12:00Z", "2026-04-04T12:00Z"):
        every_minute = [_at(begin) + timedelta(minutes=minute) for minute in range(1, 900)]
        local = [(moment, moment.astimezone(schedule.zone)) for moment in every_minute]
        expected = [moment for moment, wall in local if wall.minute % 10 == 0 and 1 <= wall.hour <= 3]
        found, moment = [], _at(begin)
        while (moment := schedule.after(moment)) <= every_minute[-1]:
            found.append(moment)
        assert found == expected


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("0 2 * *", "the schedule '0 2 \\* \\*' cannot be read; write five fields"),
        ("0 0 2 * * *", "write five fields"),
        ("@daily", "write five fields"),
        ("", "write five fields"),
        ("60 2 * * *", r"cannot be read \(Bad minute\)"),
        ("0 24 * * *", r"cannot be read \(Bad hour\)"),
        ("0 2 * * 8", r"cannot be read \(Bad day-of-week\)"),
        ("0 2 5-1 * *", r"cannot be read \(Bad day-of-month\)"),
        ("*/0 2 * * *", r"cannot be read \(Bad minute\)"),
        ("0 2 30 2 *", "cannot be read"),
        ("0 2 31 4,6 *", "cannot be read"),
    ],
)
def test_a_schedule_that_cannot_be_read_is_one_sentence(expression: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Schedule(expression)


@pytest.mark.parametrize("zone", ["Europe/Bonn", "", "Europe", "../UTC", "/etc/localtime", "+02:00", "CEST!"])
def test_a_time_zone_that_is_not_known_is_one_sentence(zone: str) -> None:
    with pytest.raises(
        SettingsError, match=r"the time zone '.*' is not known; write a name such as UTC or Europe/Berlin"
    ):
        Schedule("0 2 * * *", zone)


def test_a_moment_is_given_in_utc() -> None:
    assert Schedule("0 2 * * *", BERLIN).after(_at("2026-07-01T00:00:00+09:00")).tzinfo is UTC
