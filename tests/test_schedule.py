"""When something is due: intervals and cron expressions, in the time zone of the machine."""

import random
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest

from imgindex import UsageError
from imgindex.schedule import is_due

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def zone(monkeypatch):
    """Live in a time zone."""

    def move(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    move("UTC")
    yield move
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("interval", "length"),
    [
        ("1m", timedelta(minutes=1)),
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        (" 2w\n", timedelta(weeks=2)),
        ("100000d", timedelta(days=100_000)),
    ],
)
def test_an_interval_is_due_when_it_has_passed(interval, length):
    assert is_due(interval, MONDAY, MONDAY + length)
    assert is_due(interval, MONDAY, MONDAY + 2 * length)
    assert not is_due(interval, MONDAY, MONDAY + length - timedelta(microseconds=1))
    assert not is_due(interval, MONDAY, MONDAY)
    assert not is_due(interval, MONDAY, MONDAY - length)  # the clock was set back


def test_an_interval_is_the_same_in_any_zone():
    east = timezone(timedelta(hours=9))
    assert is_due("1h", MONDAY, (MONDAY + timedelta(hours=1)).astimezone(east))
    assert not is_due("1h", MONDAY.astimezone(east), MONDAY + timedelta(minutes=59))


def test_without_a_clock_it_is_now():
    assert is_due("1h", datetime.now(UTC) - timedelta(hours=1, seconds=1))
    assert not is_due("1h", datetime.now(UTC) - timedelta(minutes=59))
    assert is_due("* * * * *", datetime.now(UTC) - timedelta(minutes=1))


def first(schedule: str, last: datetime = MONDAY, days: int = 40) -> datetime:
    """The first full hour when it is due."""
    return next(hour for hour in (last + timedelta(hours=n) for n in range(24 * days)) if is_due(schedule, last, hour))


@pytest.mark.usefixtures("zone")
def test_cron_is_due_from_its_minute_on():
    three = datetime(2024, 1, 2, 3, tzinfo=UTC)
    assert not is_due("0 3 * * *", three - timedelta(hours=24), three - timedelta(microseconds=1))
    assert is_due("0 3 * * *", three - timedelta(hours=24), three)
    assert is_due("0 3 * * *", three - timedelta(seconds=1), three)
    assert not is_due("0 3 * * *", three, three)
    assert not is_due("0 3 * * *", three, three + timedelta(hours=23))
    assert is_due("0 3 * * *", three, three + timedelta(days=30))  # once, however many were missed


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    ("schedule", "then"),
    [
        ("0 3 * * *", datetime(2024, 1, 1, 3, tzinfo=UTC)),
        ("0 */6 * * *", datetime(2024, 1, 1, 6, tzinfo=UTC)),
        ("0 22-23 * * *", datetime(2024, 1, 1, 22, tzinfo=UTC)),
        ("0 5 1,15 * *", datetime(2024, 1, 1, 5, tzinfo=UTC)),
        ("0 0 15 * *", datetime(2024, 1, 15, tzinfo=UTC)),
        ("0 0 1 feb *", datetime(2024, 2, 1, tzinfo=UTC)),
        ("0 3 * * sun", datetime(2024, 1, 7, 3, tzinfo=UTC)),
        ("0 3 * * SAT", datetime(2024, 1, 6, 3, tzinfo=UTC)),
        ("0 3 * * wed-fri", datetime(2024, 1, 3, 3, tzinfo=UTC)),
        # Numbers as crontab(5) has them: Sunday is 0 or 7.
        ("0 3 * * 0", datetime(2024, 1, 7, 3, tzinfo=UTC)),
        ("0 3 * * 7", datetime(2024, 1, 7, 3, tzinfo=UTC)),
        ("0 3 * * 1", datetime(2024, 1, 1, 3, tzinfo=UTC)),
        ("0 3 * * 3-5", datetime(2024, 1, 3, 3, tzinfo=UTC)),
    ],
)
def test_cron_fields(schedule, then):
    assert first(schedule) == then


def test_cron_is_in_local_time(zone):
    zone("Asia/Tokyo")
    assert first("0 3 * * *") == datetime(2024, 1, 1, 18, tzinfo=UTC)
    zone("America/New_York")
    assert first("0 3 * * *") == datetime(2024, 1, 1, 8, tzinfo=UTC)
    july = datetime(2024, 7, 1, tzinfo=UTC)
    assert first("0 3 * * *", july) == datetime(2024, 7, 1, 7, tzinfo=UTC)


def test_cron_over_the_change_of_clocks(zone):
    zone("Europe/Zurich")
    spring, autumn = datetime(2024, 3, 30, 12, tzinfo=UTC), datetime(2024, 10, 26, 12, tzinfo=UTC)
    assert first("0 4 * * *", spring) == datetime(2024, 3, 31, 2, tzinfo=UTC)
    assert first("0 4 * * *", autumn) == datetime(2024, 10, 27, 3, tzinfo=UTC)
    assert first("0 4 1 * *", spring) == datetime(2024, 4, 1, 2, tzinfo=UTC)
    for day in spring, autumn:
        assert is_due("30 2 * * *", day, day + timedelta(hours=15))  # an hour that is not there, or there twice
        assert is_due("0 4 * * *", day + timedelta(hours=14), day + timedelta(hours=39))


@pytest.mark.usefixtures("zone")
def test_what_never_comes_is_never_due():
    with suppress(UsageError):
        assert not is_due("0 0 30 2 *", MONDAY, MONDAY + timedelta(days=4000))


@pytest.mark.parametrize("name", ["Foo/Bar", "CET-1CEST,M3.5.0,M10.5.0/3"])
def test_a_strange_time_zone_is_no_traceback(zone, name):
    """What the machine says is taken as it is understood."""
    zone(name)
    with suppress(UsageError):
        assert is_due("0 3 * * sun", MONDAY, MONDAY + timedelta(days=9))


@pytest.mark.parametrize(
    "schedule",
    [
        "", " ", "weekly", "7", "d", "0d", "-1d", "1.5h", "7 d", "7dd", "1y", "1d12h", "9" * 5000 + "d", "²d", "1_0d",
        "0 3 * *", "0 3 * * sun 2024", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *",
        "* * * * 8", "* * * * someday", "*/0 * * * *", "5-1 * * * *", "1-2-3 * * * *", "1,,2 * * * *", ", * * * *",
        "a b c d e", "99999999999999999999 * * * *", "@daily", "0 0 * * sun-mon-tue", "* * L * ?",
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_said_in_a_sentence(schedule):
    with pytest.raises(UsageError) as error:
        is_due(schedule, MONDAY, MONDAY)
    text = str(error.value)
    assert "not a valid schedule" in text
    assert schedule.strip()[:20] in text
    assert "\n" not in text
    assert text.endswith(".")


@pytest.mark.usefixtures("zone")
def test_no_traceback_for_anything():
    dice = random.Random(1)
    parts = ["*", "*/", "1", "59", "-", ",", "/", "sun", "jan", "0", "99", "?", "L", "#", "7", ".", "٣", "9" * 30]
    for _ in range(1000):
        fields = ["".join(dice.choices(parts, k=dice.randint(1, 2))) for _ in range(dice.choice([1, 5, 5, 5, 5]))]
        with suppress(UsageError):
            assert not is_due(" ".join(fields), MONDAY, MONDAY)


# A clock that was ahead


@pytest.mark.parametrize(("schedule", "length"), [("1h", timedelta(hours=1)), ("7d", timedelta(days=7))])
def test_what_was_done_far_ahead_of_now_stops_nothing(schedule, length):
    for ahead in (1.001 * length, 2 * length, 400 * length):
        assert is_due(schedule, MONDAY + ahead, MONDAY)
    assert not is_due(schedule, MONDAY + 0.9 * length, MONDAY)  # it is waited for, and never for two whole ones
    assert is_due(schedule, MONDAY + 0.9 * length, MONDAY + 1.9 * length)


@pytest.mark.usefixtures("zone")
def test_nor_does_it_with_cron():
    noon = MONDAY + timedelta(hours=12)
    assert is_due("0 3 * * *", noon + timedelta(days=365), noon)
    assert is_due("0 3 * * *", noon + timedelta(days=1), noon)
    assert not is_due("0 3 * * *", noon + timedelta(hours=1), noon)  # no time is left out
    assert is_due("0 3 * * *", noon + timedelta(hours=1), noon + timedelta(hours=15))


def test_an_interval_longer_than_time_is_never_over():
    assert not is_due("999999w", MONDAY, MONDAY + timedelta(days=4000))
