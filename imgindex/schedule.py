"""When recurring work is due."""

import re
from datetime import UTC, datetime, timedelta

from imgindex.errors import UsageError

EVERY_WEEK = "7d"  # themes change as a collection grows, and a run of a large one takes minutes
EVERY_DAY = "1d"  # a report costs little, and one a day is a curve
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def is_due(schedule: str, last: datetime, now: datetime | None = None) -> bool:
    """Whether a time has come since `last`; both with a time zone.

    `schedule` is an interval (30m, 12h, 7d, 2w) or a cron expression of five fields in local time ("0 3 * * sun"). A
    `last` so far ahead that a time would be skipped was written by a clock that was wrong, and what is due is due now.
    Raises UsageError for another schedule.
    """
    now = now or datetime.now(UTC)
    due = _after(last, schedule)
    if due is None:
        return False  # a day that never comes
    return due <= now or (last > now and (_after(now, schedule) or last) < last)


def _after(moment: datetime, schedule: str) -> datetime | None:
    """The first time after a moment, if there is any."""
    interval = re.fullmatch(r"([1-9]\d{0,5})([mhdw])", schedule.strip())
    if interval:
        return _later(moment, timedelta(**{_UNITS[interval[2]]: int(interval[1])}))
    from cronsim import CronSim, CronSimError

    try:
        due = next(CronSim(schedule, moment.astimezone().replace(tzinfo=None)))  # by the wall clock
    except StopIteration:
        return None
    except CronSimError as error:
        raise UsageError(
            f'"{schedule}" is not a valid schedule; use an interval such as 7d, or cron such as "0 3 * * sun".'
        ) from error
    local: datetime = due.astimezone()
    return local


def _later(moment: datetime, length: timedelta) -> datetime | None:
    try:
        return moment + length
    except OverflowError:  # 999999w are 19,000 years
        return None
