"""When something is due that is done now and then."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from imgindex.errors import UsageError

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def is_due(schedule: str, last: datetime, now: datetime | None = None) -> bool:
    """Whether a time has come since `last`; both with a time zone.

    `schedule` is an interval (30m, 12h, 7d, 2w) or a cron expression of five fields in local time ("0 3 * * sun").
    Raises UsageError for another one.
    """
    now = now or datetime.now(UTC)
    interval = re.fullmatch(r"([1-9]\d{0,5})([mhdw])", schedule.strip())
    if interval:
        return now - last >= timedelta(**{_UNITS[interval[2]]: int(interval[1])})
    due = _cron(schedule).get_next_fire_time(None, last + timedelta(microseconds=1))
    return due is not None and due <= now


def _cron(schedule: str) -> Any:
    from apscheduler.triggers.cron import CronTrigger

    try:
        return CronTrigger.from_crontab(schedule)
    except ValueError as error:
        raise UsageError(
            f'"{schedule}" is no schedule; give an interval such as 12h or 7d, or a cron expression such as "0 3 * * sun".'
        ) from error
