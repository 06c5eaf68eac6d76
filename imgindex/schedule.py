"""When something is due that is done now and then."""

import re
from datetime import UTC, datetime, timedelta

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
    from cronsim import CronSim, CronSimError

    try:
        due = next(CronSim(schedule, last.astimezone().replace(tzinfo=None)))  # by the clock on the wall
    except StopIteration:
        return False  # a day that never comes
    except CronSimError as error:
        raise UsageError(
            f'"{schedule}" is no schedule; give an interval such as 7d, or a cron expression such as "0 3 * * sun".'
        ) from error
    return bool(due.astimezone() <= now)
